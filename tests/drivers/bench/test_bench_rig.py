"""A bench as a rig: over real sockets, against virtual instruments around one simulated physics."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.bench.rig import BenchRig
from drivers.transport import Direction, read_traffic
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError, InstrumentError, LimitError, ProgramError
from labrhel.experiment import load_experiment
from labrhel.learning.checking import compare
from labrhel.safety import ledger
from labrhel.shots.program import GivenState, ShotProgram
from labrhel.testing.waiting import wait_for
from simbackend.testing.benches import CONFIG, drive, gradient, opened, shoot, volts
from simbackend.virtual_bench import station_text, virtual_bench


@pytest.mark.slow
def test_the_gradient_over_the_wires_is_that_of_the_simulated_rig(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        found = gradient(experiment)
    with_sim = load_experiment(tmp_path / "config.yaml")
    expected = gradient(with_sim)
    assert found.loss == pytest.approx(expected.loss, rel=0.02)
    cosine, _ = compare(found.values["coupling"], expected.values["coupling"])
    assert cosine > 0.99
    assert found.retrace_error < 0.05  # 8 bits
    assert found.shots >= 3 * 2


def test_opening_and_closing_move_nothing_and_knobs_read_back(tmp_path: Path) -> None:
    with opened(tmp_path) as (bench, experiment):
        assert volts(bench) == [0.0] * 8
        rig = experiment.rig
        assert isinstance(rig, BenchRig)
        assert "33622A" in rig.capabilities.firmware and "QDAC-II" in rig.capabilities.firmware
        wanted = np.linspace(0.05, 0.4, 15)
        assert rig.configure({"coupling": wanted})["coupling"] == pytest.approx(wanted, abs=1e-4)
        assert rig.read(["coupling"])["coupling"] == pytest.approx(wanted, abs=1e-4)
        with pytest.raises(LimitError, match="nothing was sent"):
            rig.configure({"coupling": wanted * 100})
        assert rig.read(["coupling"])["coupling"] == pytest.approx(wanted, abs=1e-4)
    assert volts(bench) == [0.0] * 8


def test_the_traffic_of_all_instruments_is_written_on_request(tmp_path: Path) -> None:
    file = tmp_path / "wires.jsonl"
    with opened(tmp_path, settings=f"?traffic={file}") as (_, experiment):
        shoot(experiment, drive(experiment, 0.5))
    pieces = list(read_traffic(file))
    assert len({piece.link for piece in pieces}) == 7
    assert sum(piece.data == b"*TRG\n" for piece in pieces if piece.direction is Direction.SENT) == 1
    assert pieces[-1].data == b"closed"
    with pytest.raises(ConfigurationError, match="one setting, traffic=FILE"), opened(tmp_path, settings="?trafic=x"):
        pass


def test_a_reading_at_the_end_of_a_converter_is_an_error_and_the_bench_is_safe(tmp_path: Path) -> None:
    narrow = ("range: [-5.0, 5.0]", "range: [-0.2, 0.2]")
    with opened(tmp_path, narrow) as (bench, experiment):
        with pytest.raises(InstrumentError, match=r"channel q1 .* left its range"):
            shoot(experiment, drive(experiment, 1.0))
        assert volts(bench) == [0.0] * 8


def test_what_a_bench_cannot_do_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        program = drive(experiment, 0.1)
        with pytest.raises(ProgramError, match="cannot be prepared by 'state'"):
            shoot(experiment, ShotProgram(program.dt, GivenState(*[_frozen(6)] * 2), program.passes))
        with pytest.raises(ProgramError, match="its converter reaches"):
            shoot(experiment, drive(experiment, 50.0))


def _frozen(n: int):
    from labrhel.frozen import FrozenArray

    return FrozenArray(np.zeros(n))


def test_shots_repeat_and_start_from_rest(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        traces = [shoot(experiment, drive(experiment, 0.5)).last.traces["q1"].values[0] for _ in range(3)]
    assert np.abs(traces[0]).max() > 0.2
    for other in traces[1:]:
        assert np.abs(other - traces[0]).max() < 0.03  # 8 bits over 10 V, and 1 mV of noise


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ring_down", "ringdown", "unknown key; did you mean 'ring_down'"),
        ("terminal: awg1.ch1", "terminal: awg1.ch3", "there is no terminal awg1.ch3"),
        ("terminal: awg1.ch1", "terminal: scope1.ch1", "scope1 is not a generator"),
        ("per_volt: 0.2", "per_volt: 0", "must not be 0"),
    ],
)
def test_a_mistake_in_the_station_file_names_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught, opened(tmp_path, (old, new)):
        pass
    assert "station.yaml" in str(caught.value)


def test_a_station_file_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="there is no station file"):
        load_station(Path("nowhere.yaml"))


OWNER = """
import sys
from pathlib import Path
import numpy as np
from labrhel.shots.compile import compile
from labrhel.experiment import load_experiment
from labrhel.shots.program import *
from labrhel.shots.waveform import Waveform
experiment = load_experiment(Path(sys.argv[1]), rig_url="bench:" + sys.argv[2])
rig, dt = experiment.rig, experiment.task.step
rig._generators["awg1"].load({})
from drivers.roles import Burst
samples = np.concatenate([[0.0], np.ones(3_000_000), [0.0]])
rig._generators["awg1"].load({"ch1": Burst(samples, 50e3)})
rig._generators["awg1"].arm(source="software")
rig._generators["awg1"].fire()
print("playing", rig._guardian.pid, flush=True)
import time; time.sleep(600)
"""


def wait_until_idle(pid: int) -> None:
    """Until a process has used no time of a processor for half a second."""

    def used() -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]

    def is_idle() -> bool:
        before = used()
        time.sleep(0.5)
        return int(before[0]) > 0 and used() == before

    wait_for(is_idle, f"process {pid} to have begun and to be idle")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to know when the guardian is ready")
@pytest.mark.slow
def test_the_guardian_makes_the_bench_safe_within_a_second_when_its_owner_is_killed(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with virtual_bench("coupled_oscillators", speed=1.0) as bench:
        file = tmp_path / "station.yaml"
        file.write_text(station_text(bench), encoding="utf-8")
        environment = os.environ | {"LABRHEL_STATE": str(tmp_path / "state")}
        words = [sys.executable, "-c", OWNER, str(tmp_path / "config.yaml"), str(file)]
        owner = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        assert owner.stdout is not None
        word, guardian = owner.stdout.readline().split()
        assert word == "playing"
        wait_until_idle(int(guardian))  # it has imported what it may need
        assert volts(bench)[0] == pytest.approx(1.0, abs=0.05)  # a minute of burst is left
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        killed = time.monotonic()
        wait_for(lambda: volts(bench)[0] == 0.0, "safe outputs", patience=30)
        took = time.monotonic() - killed
        owner.stdout.close()
        # A guardian whose bench is taken apart before it has seen all of it would go on for an hour.
        wait_for(lambda: not ledger.left(tmp_path / "state"), "the guardian to have seen everything safe")
        assert volts(bench) == [0.0] * 8
        assert took < 5.0, took  # 0.2 to 0.6 s on quiet cores; the target of 1 s is judged by `make targets`


@pytest.mark.parametrize("words", [["run", "--dry-run"], ["check", "--tolerance", "10"]])
def test_a_bench_is_given_back_by_commands_that_train_nothing(tmp_path: Path, words: list[str]) -> None:
    # No shots are spent on the choice of a nudge.
    (tmp_path / "config.yaml").write_text(CONFIG.replace("record: none", "record: none, eps: 0.1"), encoding="utf-8")
    with virtual_bench("coupled_oscillators") as bench:
        file = tmp_path / "station.yaml"
        file.write_text(station_text(bench), encoding="utf-8")
        command = [sys.executable, "-m", "labrhel", words[0], str(tmp_path / "config.yaml"), *words[1:]]
        environment = os.environ | {"LABRHEL_STATE": str(tmp_path / "state")}
        ended = subprocess.run(
            [*command, "--rig", f"bench:{file}"], capture_output=True, text=True, env=environment, check=False
        )
        assert "NOT SAFE" not in ended.stderr and "Traceback" not in ended.stderr
        assert volts(bench) == [0.0] * 8
        assert "gradient" in ended.stdout or "loss" in ended.stdout, ended.stderr
