"""`labrhel validate`: what is wrong with a file, in its own words, with no instrument on and no code of it run."""

from pathlib import Path

import pytest

from labrhel.config import examples
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL, small

STATION = """\
instruments:
  awg1: {type: keysight_33600, address: "TCPIP::10.0.0.5::5025::SOCKET"}
  scope1: {type: rigol_ds1000z, address: "TCPIP::10.0.0.6::5555::SOCKET"}
rig:
  trigger: {fired_by: awg1, seen_by: {scope1: {terminal: ch4}}}
  ring_down: 60ms
  ports:    {u1: {terminal: awg1.ch1, limits: [-5 V, 5 V]}}
  channels: {q1: {terminal: scope1.ch1, range: [-2 V, 2 V]}}
"""
CODE = """\
from pathlib import Path
Path(__file__).with_name("ran").touch()
def opened(rest, model, folder): ...
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_what_comes_with_labrhel_is_in_order(shell: Shell) -> None:
    status, said, _ = shell("validate", *examples())
    assert status == 0
    assert said.count("in order\n") == len(examples())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            STATION.replace("fired_by: awg1", "fired_by: awg9"),
            ":5: rig.trigger.fired_by: there is no instrument 'awg9'",
        ),
        (STATION.replace("awg1.ch1", "awg8.ch1"), ":7: rig.ports.u1.terminal: there is no instrument 'awg8'"),
        (STATION.replace("keysight_33600", "keysight_33601"), ":2: instruments.awg1.type: there is no driver"),
        (STATION.replace("limits: [-5 V, 5 V]", "limts: [-5 V, 5 V]"), ":7: rig.ports.u1.limts: unknown key; did you"),
        (STATION.replace("limits: [-5 V, 5 V]", "limits: [1 V, 5 V]"), ":7: rig.ports.u1"),
        ("instruments: {a: {kind: nothing}}\nmodel: x\nring_down: 1ms\n", "x"),
        (SMALL.replace("model:", "modle:", 1), "unknown key; did you mean 'model'?"),
        (SMALL + "telemetry: {broker: lab, user: me, password_file: x}\n", "telemetry.password_file: a configuration"),
        (small() + "rig: 'nonsense:'\n", "a rig is named by a URL such as sim:"),
        (small() + "rig: 'sim:?noize=1'\n", "noize"),
        ("model: {kind: hssm, blocks: 0, hidden: 1, state: 1}\ndata: {file: x.npz}\n", "model.blocks: must be >= 1"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(shell: Shell, text: str, words: str) -> None:
    shell.write(text, "a.yaml")
    shell.write(SMALL, "good.yaml")
    status, said, errors = shell("validate", "a.yaml", "good.yaml")
    assert (status, errors) == (1, "")
    first, second = said.splitlines()[:2]
    assert first.startswith("a.yaml:") and words in first
    assert second == "good.yaml: a configuration in order"


def test_the_station_file_of_a_configuration_is_looked_at_as_well(shell: Shell) -> None:
    shell.write(small() + "rig: bench:station.yaml\n", "a.yaml")
    assert "its station file station.yaml is not there" in shell("validate", "a.yaml")[1]
    shell.write(STATION.replace("awg1.ch1", "awg8.ch1"), "station.yaml")
    status, said, _ = shell("validate", "a.yaml")
    assert status == 1
    assert "station.yaml:7: rig.ports.u1.terminal: there is no instrument 'awg8'" in said


@pytest.mark.parametrize(
    "before_and_after",
    [
        ("oscillators:", "kind: 'own.py:Model'\n  oscillators:"),
        ("{record: every 3}", "{rule: 'own.py:Rule', record: all}"),
        ("model:\n", "rig: 'own.py:opened'\nmodel:\n"),
    ],
)
def test_code_beside_a_configuration_is_not_run_even_if_it_is_trusted(
    shell: Shell, before_and_after: tuple[str, str]
) -> None:
    from labrhel.safety import trust

    shell.write(CODE, "own.py")
    trust.TrustList().add(trust.Code.named(shell.folder / "own.py"))
    shell.write(SMALL.replace(*before_and_after, 1), "a.yaml")
    status, said, _ = shell("validate", "a.yaml")
    assert status == 0
    assert "the code in own.py was not run, and so not checked" in said
    assert not (shell.folder / "ran").exists()
    (shell.folder / "own.py").unlink()
    assert "own.py cannot be read" in shell("validate", "a.yaml")[1]


def test_a_virtual_bench_whose_oscillators_are_code_runs_none_of_it(shell: Shell) -> None:
    from labrhel.safety import trust

    shell.write(CODE, "own.py")
    trust.TrustList().add(trust.Code.named(shell.folder / "own.py"))
    shell.write(SMALL.replace("oscillators:", "kind: 'own.py:Model'\n  oscillators:", 1), "a.yaml")
    shell.write("model: a.yaml\nring_down: 1ms\ninstruments: {awg1: {kind: keysight_33600}}\n", "bench.yaml")
    status, said, _ = shell("validate", "bench.yaml")
    assert (status, "which is not run here" in said) == (1, True)
    assert not (shell.folder / "ran").exists()
