"""How a bench starts its shots, with boxes that write down what they are told, on an injected clock."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.bench.rig import BenchRig
from drivers.roles import Burst, InputSpec, OutputSpec, Record, Window
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError, DeadlineError, ProgramError
from labrhel.shots.capture import Capture
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from labrhel.testing.waiting import PATIENCE
from simbackend.models.oscillator_network import OscillatorNetwork

STEP, STEPS = 1e-3, 20  # s
ARMING = 4e-3  # s for a box to be armed
MODEL = OscillatorNetwork(2, coupling="chain", nominal={"input": [[0.7], [0.0]]})
STATION = """
instruments:
  awg1: {type: a.b.C, address: "1"}
  awg2: {type: a.b.C, address: "2"}
  scope: {type: a.b.C, address: "3"}
rig:
  trigger: {fired_by: awg1, seen_by: {scope: {terminal: ch4}}TRIGGER}
  ring_down: 30 ms
  ports:
    u1: {terminal: awg1.ch1, gain: 0.5, limits: [-5 V, 5 V], safe: SAFE}
    f2: {terminal: awg2.ch1, gain: -2.0, limits: [-5 V, 5 V]}
  channels: {q1: {terminal: scope.ch1, gain: 3.0, range: [-2 V, 2 V]}}
"""


class Host:
    """Time that passes when somebody sleeps or talks to a box, and what was said."""

    def __init__(self) -> None:
        self.now, self.said = 50.0, []
        self.stall = 0.0
        self.talking = threading.Lock()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def say(self, name: str, what: str, seconds: float = 0.0) -> None:
        with (
            self.talking
        ):  # boxes of one turn are armed at the same time; here they take their time one after the other
            self.said.append((round(self.now - 50.0, 9), name, what))
            self.now += seconds

    def when(self, what: str) -> list[float]:
        return [moment for moment, _, said in self.said if said == what]

    def arms_from(self, shot: int) -> float:
        """When the first of the two boxes that wait for a trigger was armed for a shot."""
        return min(self.when("arm external")[shot], self.when("listen")[shot])


class Box:
    """What both kinds share."""

    def __init__(self, host: Host, name: str) -> None:
        self.host, self.name, self.identity = host, name, name

    def switch_off(self) -> None:
        self.host.say(self.name, "off")

    def make_safe(self) -> None:
        self.host.say(self.name, "safe")

    def close(self) -> None:
        self.host.say(self.name, "close")

    def release(self) -> None:
        self.host.say(self.name, "release")


class Awg(Box):
    def __init__(self, host: Host, name: str) -> None:
        super().__init__(host, name)
        self.outputs = {"ch1": OutputSpec(-5.0, 5.0, 14, 100_000, (1.0, 1e6))}
        self.length = 0.0

    def load(self, bursts: Mapping[str, Burst]) -> dict[str, Any]:
        self.length = max(len(burst.samples) / burst.rate for burst in bursts.values())
        return {own: burst.samples for own, burst in bursts.items()}

    def arm(self, *, source: str) -> None:
        self.host.say(self.name, f"arm {source}", ARMING)

    def fire(self) -> None:
        self.host.say(self.name, "fire", self.host.stall)

    def wait(self, seconds: float) -> None:
        self.host.now += self.length
        self.host.say(self.name, "ended")


class Scope(Box):
    def __init__(self, host: Host, name: str, pre_trigger: int | None = None) -> None:
        super().__init__(host, name)
        spec = InputSpec(12, 100_000, (1e3, 4e3, 1e5), pre_trigger)
        self.inputs = {"ch1": spec, "ch4": spec}
        self.window: Window | None = None

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        self.window = window
        return window.rate

    def arm(self) -> None:
        self.host.say(self.name, "listen", ARMING)

    def wait(self, seconds: float) -> None:
        pass

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        assert self.window is not None
        count = round(self.window.duration * self.window.rate)
        codes = np.arange(count, dtype=np.int32)
        return {own: Record(codes, 1e-3, 0.0, self.window.start, 1 / self.window.rate) for own in terminals}


def rig(folder: Path, host: Host, trigger: str = "", safe: str = "0 V", pre_trigger: int | None = None) -> BenchRig:
    (file := folder / "station.yaml").write_text(STATION.replace("TRIGGER", trigger).replace("SAFE", safe))
    boxes = {"awg1": Awg(host, "awg1"), "awg2": Awg(host, "awg2"), "scope": Scope(host, "scope", pre_trigger)}
    return BenchRig(load_station(file), boxes, MODEL, STEP, clock=host.clock, sleep=host.sleep)


def fire(bench: BenchRig, repeats: int = 1, wait: float = 0.0) -> Capture:
    wave = Waveform.of(np.full(STEPS, 0.3), STEP)
    stretch = Pass(STEPS, (Drive("u1", wave, Role.INPUT),), Acquire(("q1",)))
    program = ShotProgram(STEP, Rest(wait), (stretch,), repeats)
    (capture,) = bench.run([compile(program, bench.capabilities, bench.wiring)])
    return capture


def arming(host: Host) -> list[str]:
    return [f"{name} {what}" for _, name, what in host.said if what.startswith(("arm", "listen", "fire"))]


def test_boxes_that_are_triggered_are_armed_first_and_the_one_that_fires_last(tmp_path: Path) -> None:
    host = Host()
    fire(rig(tmp_path, host))
    *waiting, last, then = arming(host)
    assert sorted(waiting) == ["awg2 arm external", "scope listen"]
    assert (last, then) == ("awg1 arm software", "awg1 fire")


def test_boxes_of_no_declared_order_are_armed_at_the_same_time(tmp_path: Path) -> None:
    host, both = Host(), threading.Barrier(2)
    bench = rig(tmp_path, host)
    boxes: Any = bench._instruments
    for box in (boxes["awg2"], boxes["scope"]):

        def meets(arm: Callable[..., None] = box.arm, **how: Any) -> None:
            both.wait(PATIENCE)  # one after the other they would wait forever
            arm(**how)

        box.arm = meets
    fire(bench)
    assert arming(host)[2:] == ["awg1 arm software", "awg1 fire"]


def test_a_station_may_say_another_order(tmp_path: Path) -> None:
    host = Host()
    bench = rig(tmp_path, host, ", arming_order: [scope, awg1]")
    fire(bench)
    assert arming(host) == ["scope listen", "awg1 arm software", "awg2 arm external", "awg1 fire"]
    assert {item.name: (item.arming_order, item.source) for item in bench.capabilities.triggers} == {
        "scope": (0, "awg1"), "awg1": (1, ""), "awg2": (2, "awg1"),
    }  # fmt: skip
    assert [bench.capabilities.port(name).timing.trigger for name in ("u1", "f2")] == ["awg1", "awg2"]


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (", arming_order: [scope, awg3]", "awg3 neither plays nor records"),
        (", arming_order: [scope, awg2, scope]", "scope is named twice"),
        (", re_arm: {bias: 2 ms}", "bias neither plays nor records"),
    ],
)
def test_an_order_of_boxes_that_are_not_armed_is_refused(tmp_path: Path, trigger: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        rig(tmp_path, Host(), trigger)
    assert "station.yaml" in str(caught.value)


def test_the_next_shot_waits_for_the_rig_to_come_to_rest(tmp_path: Path) -> None:
    host = Host()
    fire(rig(tmp_path, host), repeats=3)
    for shot, ended in enumerate(host.when("ended")[:-1], start=1):
        assert host.arms_from(shot) - ended == pytest.approx(30e-3)


def test_it_waits_for_the_slowest_box_to_be_armed_again(tmp_path: Path) -> None:
    host = Host()
    bench = rig(tmp_path, host, ", re_arm: {scope: 80 ms, awg2: 50 ms}")
    fire(bench, repeats=2)
    assert bench.capabilities.pause == pytest.approx(80e-3)
    assert host.arms_from(1) - host.when("ended")[0] == pytest.approx(80e-3)


def test_a_program_may_ask_for_a_longer_rest(tmp_path: Path) -> None:
    host = Host()
    fire(rig(tmp_path, host, ", re_arm: {scope: 80 ms}"), repeats=2, wait=0.11)
    assert host.arms_from(1) - host.when("ended")[0] == pytest.approx(0.11)


def test_a_capture_says_when_its_first_repeat_was_due_and_when_it_was_fired(tmp_path: Path) -> None:
    host = Host()
    capture = fire(rig(tmp_path, host), repeats=2)
    assert capture.planned_start == pytest.approx(50.0 + 30e-3)
    assert capture.actual_start == pytest.approx(50.0 + host.when("fire")[0])
    assert capture.actual_start - capture.planned_start == pytest.approx(3 * ARMING)


def test_a_late_shot_is_an_error_and_the_bench_is_safe(tmp_path: Path) -> None:
    host = Host()
    bench = rig(tmp_path, host, ", latest: 50 ms")
    fire(bench)
    host.stall = 60e-3
    with pytest.raises(DeadlineError, match=r"started 0\.072 s after it was due, and trigger\.latest allows 0\.05 s"):
        fire(bench)
    assert {name for _, name, what in host.said if what == "off"} == {"awg1", "awg2", "scope"}


def test_outputs_that_idle_at_a_level_push_when_they_are_first_switched_on(tmp_path: Path) -> None:
    host = Host()
    bench = rig(tmp_path, host, safe="1 V")
    fire(bench, repeats=2)
    fired, armed = host.when("fire"), host.when("arm software")
    assert fired[0] - armed[0] == pytest.approx(ARMING + 30e-3)
    assert fired[1] - armed[1] == pytest.approx(ARMING)
    bench.make_safe()
    fire(bench)
    assert host.when("fire")[2] - host.when("arm software")[2] == pytest.approx(ARMING + 30e-3)


def window(folder: Path, pre_trigger: int | None) -> Window:
    bench = rig(folder, Host(), pre_trigger=pre_trigger)
    fire(bench)
    scope = bench._instruments["scope"]
    assert isinstance(scope, Scope) and scope.window is not None
    return scope.window


def test_a_window_begins_no_earlier_than_a_digitizer_keeps_samples_from_before_its_trigger(tmp_path: Path) -> None:
    free, short = window(tmp_path, None), window(tmp_path, 2)
    assert (free.start, free.rate) == (pytest.approx(-STEP), 4e3)  # the burst begins with one idle sample
    assert short.start == pytest.approx(-2 / 4e3)
    assert short.start + short.duration == pytest.approx(free.start + free.duration)


def test_a_shot_that_would_need_samples_from_before_that_is_refused(tmp_path: Path) -> None:
    text = STATION.replace("{terminal: ch4}", "{terminal: ch4, delay: 1.2 ms}")
    (tmp_path / "station.yaml").write_text(text.replace("TRIGGER", "").replace("SAFE", "0 V"))
    host = Host()
    boxes = {"awg1": Awg(host, "awg1"), "awg2": Awg(host, "awg2"), "scope": Scope(host, "scope", 2)}
    bench = BenchRig(load_station(tmp_path / "station.yaml"), boxes, MODEL, STEP, clock=host.clock, sleep=host.sleep)
    with pytest.raises(ProgramError, match=r"scope keeps nothing from more than 0\.0005 s before its trigger"):
        fire(bench)
