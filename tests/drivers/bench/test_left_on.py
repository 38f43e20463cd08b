"""Outputs that could not be made safe: said first, remembered, tried again until they are, and taken up by others.

On a virtual bench over real sockets, with a wire in between that can be cut, and processes that are killed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from drivers.testing.cut_wires import CutWire
from labrhel.errors import NotSafeError
from labrhel.experiment import load_experiment
from labrhel.safety import ledger
from labrhel.store import RunReader
from labrhel.testing.command_line import called
from labrhel.testing.waiting import wait_for
from simbackend.testing.benches import CONFIG, bench_and_station, volts
from simbackend.virtual_bench import Bench

pytestmark = pytest.mark.slow
START = 180.0  # s; that of a whole run on a loaded machine
SHORT = CONFIG.replace("record: none", "record: none, eps: 0.1")  # no shots are spent on the choice of a nudge

OWNER = """
import sys
from pathlib import Path
import numpy as np
from labrhel.experiment import load_experiment
experiment = load_experiment(Path(sys.argv[1]), rig_url="bench:" + sys.argv[2])
experiment.rig.configure({"coupling": np.full(15, 0.2)})
print(experiment.rig._guardian.pid, flush=True)
sys.stdin.readline()
"""


@dataclass
class Lab:
    """A bench behind wires that can be cut, with a state folder of its own."""

    folder: Path
    bench: Bench
    station: Path
    wires: dict[str, CutWire]

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def levels(self) -> list[float]:
        with self.bench.clock.lock:
            return [self.bench.world.volts(f"bias.ch{number}") for number in range(1, 16)]

    def are_on(self) -> bool:
        return any(self.levels()) or any(volts(self.bench))

    def cut(self, *names: str) -> None:
        for name in names or self.wires:
            self.wires[name].cut()

    def mend(self, *names: str) -> None:
        for name in names or self.wires:
            self.wires[name].mend()

    def run(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "labrhel", *words], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"LABRHEL_STATE": str(self.state)},
        )  # fmt: skip

    def labrhel(self, *words: str) -> tuple[int, str]:
        """Status and words of a command; for what drives the bench this process is another program, too."""
        done = called(self.folder, *words)
        return done.returncode, done.stdout + done.stderr


@contextmanager
def owner(lab: Lab) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program that has turned 15 levels on, and its guardian's process."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(lab.config), str(lab.station)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"LABRHEL_STATE": str(lab.state)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    (tmp_path / "config.yaml").write_text(SHORT.replace("steps: 1", "steps: 100000"), encoding="utf-8")
    with bench_and_station(tmp_path) as (bench, file):
        text, wires = file.read_text(), {}
        for name, host, port in re.findall(r"^  (\w+): .*?TCPIP::([\d.]+)::(\d+)::SOCKET", text, re.MULTILINE):
            wires[name] = CutWire((host, int(port)))
            text = text.replace(f"::{port}::SOCKET", f"::{wires[name].port}::SOCKET")
        file.write_text(text, encoding="utf-8")
        assert len(wires) == 7
        try:
            yield Lab(tmp_path, bench, file, wires)
        finally:
            for item in ledger.left():
                item.forget()  # ends guardians that still try
            for wire in wires.values():
                wire.close()


@pytest.mark.parametrize("names", [(), ("bias",)], ids=["all wires", "the source's wire"])
def test_wires_that_are_cut_in_a_run_leave_nothing_on_unsaid_and_nothing_on_when_they_are_back(
    lab: Lab, names: tuple[str, ...]
) -> None:
    running = lab.run("run", str(lab.config), "--rig", f"bench:{lab.station}")
    wait_for(lambda: running.poll() is not None or any(lab.levels()), "levels that are on", START)
    lab.cut(*names)
    said, errors = running.communicate(timeout=START)
    assert running.returncode == 3, said + errors
    assert re.search(r"^error: OUTPUTS MAY STILL BE ON: .*bias\.ch15 at 0\.\d+ V", errors, re.MULTILINE), errors
    assert "Traceback" not in errors
    assert any(lab.levels())
    (folder,) = (lab.folder / "runs").glob("2*")
    assert RunReader(folder).status == "unsafe"
    assert RunReader(folder).events()[-1][2].startswith("OUTPUTS MAY STILL BE ON: ")
    assert "OUTPUTS MAY STILL BE ON" in lab.labrhel("show", folder.name)[1]
    assert "unsafe" in lab.labrhel("runs")[1]
    lab.mend(*names)
    wait_for(lambda: not lab.are_on(), "the guardian")
    wait_for(lambda: not ledger.left(), "an empty ledger")


def test_a_station_is_in_the_ledger_from_its_opening_until_it_was_seen_safe(lab: Lab) -> None:
    experiment = load_experiment(lab.config, rig_url=f"bench:{lab.station}")
    (left,) = ledger.left()
    assert left.is_driven
    assert set(left.entry.outputs) >= {"awg1.ch1", "bias.ch15"} and set(left.entry.outputs.values()) == {None}
    assert left.place.stat().st_mode & 0o077 == 0
    experiment.rig.configure({"coupling": np.full(15, 0.2)})
    experiment.rig.make_safe()
    assert [item.is_driven for item in ledger.left()] == [True]
    experiment.rig.close()
    assert ledger.left() == []


def test_a_program_that_ends_without_closing_its_rig_makes_it_safe_or_says_in_one_sentence_what_is_on(lab: Lab) -> None:
    with owner(lab) as (process, _):
        assert process.communicate("\n", timeout=START)[1] == ""
    assert not lab.are_on()
    with owner(lab) as (process, _):
        lab.cut()
        said = process.communicate("\n", timeout=START)[1]
    assert said.startswith("error: OUTPUTS MAY STILL BE ON: ") and "bias.ch1 at 0.2 V" in said
    assert said.count("error: ") == 1 and "Traceback" not in said
    lab.mend()
    wait_for(lambda: not lab.are_on(), "the guardian to switch off")


def test_a_rig_that_is_closed_with_its_wires_cut_says_what_is_on_each_time_and_its_guardian_goes_on(lab: Lab) -> None:
    experiment = load_experiment(lab.config, rig_url=f"bench:{lab.station}")
    experiment.rig.configure({"coupling": np.full(15, 0.2)})
    lab.cut("bias")
    for call in (experiment.rig.make_safe, experiment.rig.close, experiment.rig.make_safe):
        with pytest.raises(NotSafeError, match=r"^OUTPUTS MAY STILL BE ON: bias\.ch1 at 0\.") as found:
            call()
        assert set(found.value.outputs) == {f"bias.ch{number}" for number in range(1, 16)}
    assert volts(lab.bench) == [0.0] * 8
    (left,) = ledger.left()
    assert not left.is_driven
    assert left.entry.outputs["bias.ch3"] == found.value.outputs["bias.ch3"]
    lab.mend("bias")
    wait_for(lambda: not lab.are_on() and not ledger.left(), "the guardian")


def test_what_owner_and_guardian_left_when_both_were_killed_is_made_safe_by_an_emergency_stop(lab: Lab) -> None:
    with owner(lab) as (process, guardian):
        os.kill(guardian, 9)
        process.kill()
        process.wait()
    assert lab.are_on()
    status, said = lab.labrhel("estop")
    assert status == 0, said
    assert f"left by process {process.pid}: made safe" in said
    assert not lab.are_on()
    assert ledger.left() == []


@pytest.mark.parametrize("command", ["estop", "reset"])
def test_what_cannot_be_made_safe_is_named_with_status_3_and_taken_up_again(lab: Lab, command: str) -> None:
    with owner(lab) as (process, guardian):
        lab.cut("bias")
        os.kill(guardian, 9)
        process.kill()
        process.wait()
    lab.labrhel("estop")
    status, said = lab.labrhel(command)
    assert status == 3
    assert "OUTPUTS MAY STILL BE ON: bias.ch1 at an unknown level, bias.ch2" in said
    assert "awg1" not in said.partition("MAY STILL")[2]
    lab.mend("bias")
    status, said = lab.labrhel("reset")
    assert status == 0, said
    assert "made safe" in said and "released" in said
    assert not lab.are_on()


def test_the_next_start_takes_up_what_is_left_and_what_was_looked_at_can_be_forgotten(lab: Lab) -> None:
    with owner(lab) as (process, guardian):
        os.kill(guardian, 9)
        process.kill()
        process.wait()
    assert lab.are_on()
    with suppress(FileNotFoundError):
        lab.station.rename(lab.folder / "another.yaml")  # whatever the file is called now
    experiment = load_experiment(lab.config, rig_url=f"bench:{lab.folder / 'another.yaml'}")
    assert not lab.are_on()
    assert len(ledger.left()) == 1
    experiment.rig.close()
    ledger.remember(lab.station, "instruments: {}", {}).let_go({"bias.ch1": 0.5}, "a wire is cut")
    assert lab.labrhel("reset")[0] == 3
    status, said = lab.labrhel("reset", "--forget")
    assert status == 0 and "forgotten" in said
    assert ledger.left() == []


def test_the_guardian_makes_safe_what_is_reached_at_once_and_the_rest_when_it_is_back(lab: Lab) -> None:
    with owner(lab) as (process, _):
        lab.cut("awg1")
        process.kill()
        process.wait()
        wait_for(lambda: not any(lab.levels()), "the source")
        (left,) = ledger.left()
        assert not left.is_driven
        lab.mend("awg1")
        wait_for(lambda: not ledger.left(), "the guardian")
    assert not lab.are_on()


def test_a_traffic_log_on_a_full_disk_fails_no_exchange_and_is_said_once(lab: Lab) -> None:
    config = lab.folder / "short.yaml"
    config.write_text(SHORT, encoding="utf-8")
    status, said = lab.labrhel("run", str(config), "--rig", f"bench:{lab.station}?traffic=/dev/full")
    assert status == 0, said
    assert said.count("the traffic in /dev/full is not complete: no space left on device") == 1
    assert not lab.are_on()


def test_an_emergency_stop_names_a_program_that_drives_a_bench_and_does_not_listen(lab: Lab) -> None:
    with owner(lab) as (process, _):
        status, said = lab.labrhel("estop")
        assert status == 3
        assert f"is open in process {process.pid}, which does not listen: NOT REACHED" in said
        assert json.loads((lab.state / "estop.json").read_text())["since"]
