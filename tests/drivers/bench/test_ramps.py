"""Made safe over the sockets of a virtual bench: OFF first, then levels by order and in time, in every way."""

import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.instruments import open_instrument
from drivers.rescue import make_all_safe
from drivers.transport import Direction, read_traffic
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment
from labrhel.safety import estop, processes
from labrhel.shots.operations import Configure
from simbackend.testing.benches import bench_and_station, opened
from simbackend.virtual_bench import Bench

BIAS = "drivers.instruments.qdac2.QDac2"
HELD = (f"{{type: {BIAS}, ", f"{{init: {{safe: {{ch1: 1.0, ch2: -0.5, ch3: 0.0}}}}, type: {BIAS}, ")


def ramps(text: str) -> tuple[str, str]:
    return "  ring_down:", f"  ramps: {{{text}}}\n  ring_down:"


def bias(bench: Bench) -> list[float]:
    with bench.clock.lock:
        return [bench.world.volts(f"bias.ch{number}") for number in range(1, 16)]


def turn_up(experiment: Experiment) -> None:
    """All couplings to 0.6, which takes 3 V."""
    experiment.executor().do(Configure({"coupling": np.full(15, 0.6)}))


SAFE = pytest.approx([1.0, -0.5, *[0.0] * 13], abs=1e-4)


def test_off_comes_first_then_ramps_follow_each_other(tmp_path: Path) -> None:
    file = tmp_path / "wires.jsonl"
    changes = HELD, ramps("bias.ch1: {time: 250 ms, order: 2}, bias.ch2: {time: 500 ms, order: 1}")
    with opened(tmp_path, *changes, settings=f"?traffic={file}") as (bench, experiment):
        rig = experiment.rig
        turn_up(experiment)
        assert bias(bench) == pytest.approx([3.0] * 15, abs=1e-4)
        begun = time.monotonic()
        rig.make_safe()
        assert bias(bench) == SAFE
    sent = [
        (item.monotonic, item.link, item.data.decode("latin-1"))
        for item in read_traffic(file)
        if item.direction is Direction.SENT and item.monotonic > begun
    ]
    first, second = ([(when, float(level)) for when, level in _levels(sent, number)] for number in (2, 1))
    off = [when for when, _, words in sent if re.search(r"OUTP\d OFF", words) or ":sour4:volt 0" in words]
    alone = [words for when, _, words in sent if when < first[0][0] and re.fullmatch(r":OUTP\d OFF\n", words)]
    assert len(alone) == 8  # a message each
    assert max(off[:9]) < first[0][0] < first[-1][0] < second[0][0]
    for way, seconds in ((first, 0.5), (second, 0.25)):  # so long that a busy machine leaves some steps of each
        volts = [level for _, level in way]
        assert len(volts) >= 3
        assert volts == sorted(volts, reverse=True)
        assert way[-1][0] - way[0][0] >= 0.8 * seconds
    assert (first[-1][1], second[-1][1]) == (-0.5, 1.0)


def _levels(sent: list[tuple[float, str, str]], channel: int) -> list[tuple[float, str]]:
    """Until the level is where it is safe: closing says it once more."""
    found = [
        (when, match[1]) for when, _, words in sent if (match := re.search(rf":sour{channel}:volt ([-\d.e]+)", words))
    ]
    safe = next(index for index, (_, level) in enumerate(found) if float(level) in (1.0, -0.5))
    return found[: safe + 1]


def test_an_emergency_stop_does_not_wait_for_a_slow_ramp(tmp_path: Path) -> None:
    changes = HELD, ramps("bias.ch1: {time: 60 s}, bias.ch2: {time: 60 s, order: 1}")
    with opened(tmp_path, *changes) as (bench, experiment):
        rig = experiment.rig
        turn_up(experiment)
        with processes.listening("bench", estop.emergency(rig), tmp_path):
            (answer,) = estop.press(tmp_path).answers
        assert answer.problem == ""
        assert bias(bench) == SAFE
    print(f"safe after {answer.seconds} s")


def test_the_guardian_ramps_as_well(tmp_path: Path) -> None:
    with bench_and_station(tmp_path) as (bench, file):
        text = file.read_text()
        for old, new in (HELD, ramps("bias.ch1: {time: 300 ms}")):
            text = text.replace(old, new)
        file.write_text(text)
        document = load_station(file)
        section = document.station.instruments["bias"]
        box = open_instrument(section.type, "left_behind", section.address, **section.init)
        box.set_levels({"ch1": 3.0, "ch4": 2.0})  # type: ignore[attr-defined]
        box.link.close()  # as if its program had died
        seen: list[list[float]] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(2e-3):
                seen.append(bias(bench))

        watcher = threading.Thread(target=watch)
        watcher.start()
        problems = make_all_safe(document)
        ended.set()
        watcher.join()
        assert problems == {}
        assert bias(bench) == SAFE
        halfway = [levels for levels in seen if 1.2 < levels[0] < 2.8]
        assert len(halfway) > 3
        assert all(levels[3] == pytest.approx(0.0, abs=1e-4) for levels in halfway)  # off before anything is ramped


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bias.ch4: {time: 50 ms}", "ch4 is switched off when it is made safe, at once"),
        ("awg1.ch1: {time: 50 ms}", "there is no level awg1.ch1: outputs of generators idle where they are safe"),
        ("bias.ch99: {time: 50 ms}", "there is no level bias.ch99"),
    ],
)
def test_a_ramp_of_what_does_not_stay_on_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{words}.*|line") as caught, opened(tmp_path, HELD, ramps(text)):
        pass
    assert words in str(caught.value)
    assert "station.yaml" in str(caught.value)
