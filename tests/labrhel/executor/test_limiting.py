from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import LimitError
from labrhel.executor import Limiting
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Capabilities, Kind, Knob, Limits, Port, SafeState
from labrhel.rig.wiring import Wire, Wiring
from labrhel.shots.compile import compile
from labrhel.shots.operations import Configure, Operation, Read, RunShots
from labrhel.shots.program import Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform

EYE = FrozenArray(np.eye(1))
RIG = Capabilities(
    "bench",
    1,
    (Port("u1", Kind.INPUT, "V", limits=Limits(-2.0, 2.0)),),
    (),
    (Knob("bias", (2,), "V", Limits(0.0, 1.0)),),
    EYE,
    EYE,
    EYE,
)


class Reached:
    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def do(self, operation: Operation) -> None:
        self.operations.append(operation)


def shots(values: list[float], rig: Capabilities = RIG, gain: float = 1.0) -> RunShots:
    program = ShotProgram(
        0.1, Rest(), (Pass(len(values)), Pass(len(values), (Drive("u1", Waveform.of(values, 0.1), Role.INPUT),)))
    )
    return RunShots((program,), compiled=(compile(program, rig, Wiring({"u1": Wire("awg:1", gain)})),))


def attempt(operation: Operation, rig: Capabilities = RIG) -> list[Operation]:
    inner = Reached()
    try:
        Limiting(inner, rig).do(operation)
    except LimitError:
        assert not inner.operations
        raise
    return inner.operations


def test_values_up_to_the_limit_pass() -> None:
    assert attempt(shots([-2.0, 0.0, 2.0]))
    assert attempt(Configure({}, {"bias": np.array([0.0, 1.0])}))
    assert attempt(Read(("temperature",)))


@pytest.mark.parametrize("value", [2.0000001, -2.1, 1e300])
def test_a_sample_beyond_the_limit_in_any_pass_is_refused_and_nothing_is_sent(value: float) -> None:
    with pytest.raises(LimitError, match=r"port u1 .* allowed is .-2 V, 2 V.; nothing was sent"):
        attempt(shots([0.0, value, 0.0]))


def test_limits_are_checked_in_device_units_after_the_map() -> None:
    attempt(shots([3.0], gain=2.0))
    with pytest.raises(LimitError, match="port u1"):
        attempt(shots([1.5], gain=0.5))


@pytest.mark.parametrize("bias", [[0.0, 1.1], [-0.1, 0.5], [np.nan, 0.5], [np.inf, 0.5]])
def test_a_knob_outside_its_limits_or_not_a_number_is_refused(bias: list[float]) -> None:
    with pytest.raises(LimitError, match="knob bias"):
        attempt(Configure({}, {"bias": np.array(bias)}))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_compiled_sample_that_is_not_a_number_is_refused_even_on_a_port_without_limits(bad: float) -> None:
    rig = replace(RIG, ports=(Port("u1", Kind.INPUT),))
    operation = shots([0.0, 1.0], rig)
    shot = operation.compiled[0]
    played = replace(shot.passes[1].played["u1"], samples=FrozenArray([0.0, bad]))
    broken = replace(shot, passes=(shot.passes[0], replace(shot.passes[1], played={"u1": played})))
    with pytest.raises(LimitError, match="not a finite number"):
        attempt(replace(operation, compiled=(broken,)), rig)


def test_a_complex_sample_is_limited_in_both_parts() -> None:
    rig = replace(RIG, ports=(Port("u1", Kind.INPUT, "V", iq=True, limits=Limits(-1.0, 1.0)),))
    program = ShotProgram(0.1, Rest(), (Pass(1, (Drive("u1", Waveform.of([0.5 + 1.5j], 0.1), Role.INPUT),)),))
    with pytest.raises(LimitError, match="port u1"):
        attempt(RunShots((program,), compiled=(compile(program, rig),)), rig)


@pytest.mark.parametrize(
    ("values", "fine"),
    [
        ([0.5, 1.0, 0.5], True),  # 0.5 V in 0.1 units of 1 ms: 5 kV/s
        ([0.5, 1.1, 0.5], False),
        ([0.6, 0.6], False),  # from the safe state into the burst
        ([0.5, 0.6], False),  # out of the burst into the safe state
    ],
)
def test_slew_counts_the_steps_in_and_out_of_the_safe_state(values: list[float], fine: bool) -> None:  # noqa: FBT001
    port = Port("u1", Kind.INPUT, "V", limits=Limits(-2, 2, slew=5000.0 * (1 + 1e-9)), safe=SafeState(0.0))
    rig = replace(RIG, ports=(port,), time_unit=1e-3)
    if fine:
        attempt(shots(values, rig), rig)
    else:
        with pytest.raises(LimitError, match=r"would slew at .* the limit is 5000"):
            attempt(shots(values, rig), rig)


def test_slew_is_measured_from_a_safe_state_that_is_not_zero() -> None:
    port = Port("u1", Kind.INPUT, "V", limits=Limits(-2, 2, slew=1000.0), safe=SafeState(1.5))
    rig = replace(RIG, ports=(port,), time_unit=1e-3)
    attempt(shots([1.5, 1.45], rig), rig)
    with pytest.raises(LimitError, match="slew"):
        attempt(shots([0.0, 0.0], rig), rig)


def bursts(*passes: list[float] | None, dt: float = 0.1) -> RunShots:
    """A shot whose passes play these samples, None: nothing, on a rig whose unit of time is a millisecond."""
    steps = [len(values or [0.0]) for values in passes]
    parts = [
        Pass(count, () if values is None else (Drive("u1", Waveform.of(values, dt), Role.INPUT),))
        for count, values in zip(steps, passes, strict=True)
    ]
    program = ShotProgram(dt, Rest(), tuple(parts))
    return RunShots((program,), compiled=(compile(program, slewing(), Wiring({"u1": Wire("awg:1")})),))


def slewing(limit: float = 5000.0, safe: float = 1.0) -> Capabilities:
    port = Port("u1", Kind.INPUT, "V", limits=Limits(-9, 9, slew=limit * (1 + 1e-9)), safe=SafeState(safe))
    return replace(RIG, ports=(port,), time_unit=1e-3)


@pytest.mark.parametrize(
    ("passes", "fastest"),
    [
        (([1.0, 1.25],), 2500.0),  # inside a burst; back to 1 V at its end is as much
        (([1.5, 1.5],), 5000.0),  # from the safe level of 1 V and back to it
        (([0.5],), 5000.0),  # downwards
        (([1.25, 1.5, 1.25],), 2500.0),
        (([1.25, 1.25], [1.75, 1.5, 1.25]), 5000.0),  # at the joint of two passes
        (([1.25, 1.5, 1.75], None), 7500.0),  # out of a pass into one that does not drive the port
        ((None, [1.75, 1.5, 1.25]), 7500.0),  # and from such a pass into one that does
        (([1.25], None, [0.75]), 2500.0),  # by way of the safe level, which lies between
        (([1.0, 1.25], [1.25, 1.0]), 2500.0),
        (([1.0, 1.25], [1.25, 2.0, 1.25, 1.0]), 7500.0),
        (([1.75, 1.5, 1.25], [1.25, 1.0]), 7500.0),  # the first of two bursts is the faster one
    ],
)
def test_slew_is_the_largest_change_of_a_shot_from_the_safe_level_to_the_safe_level(
    passes: tuple[list[float] | None, ...], fastest: float
) -> None:
    attempt(bursts(*passes), slewing(fastest))
    with pytest.raises(LimitError, match=rf"port u1 would slew at {fastest:.4g} V/s; the limit is"):
        attempt(bursts(*passes), slewing(0.99 * fastest))


def test_a_port_without_samples_and_a_knob_without_entries_have_nothing_to_refuse() -> None:
    assert attempt(Configure({}, {"bias": np.empty(0)}))


def test_the_second_of_two_shots_is_checked_as_well() -> None:
    fine, wrong = shots([1.0]), shots([2.5])
    both = RunShots((*fine.programs, *wrong.programs), compiled=(*fine.compiled, *wrong.compiled))
    with pytest.raises(LimitError, match="port u1"):
        attempt(both)


@pytest.mark.parametrize("value", [0.5 + 1.5j, 1.5 + 0.5j, -1.5 + 0.5j, 0.5 - 1.5j])
def test_a_complex_sample_is_limited_in_its_real_and_its_imaginary_part(value: complex) -> None:
    rig = replace(RIG, ports=(Port("u1", Kind.INPUT, "V", iq=True, limits=Limits(-1.0, 1.0)),))
    for allowed in (0.5 + 0.5j, value):
        program = ShotProgram(0.1, Rest(), (Pass(1, (Drive("u1", Waveform.of([allowed], 0.1), Role.INPUT),)),))
        operation = RunShots((program,), compiled=(compile(program, rig),))
        if allowed != value:
            attempt(operation, rig)
            continue
        with pytest.raises(LimitError, match=r"allowed is \[-1 V, 1 V\]"):
            attempt(operation, rig)


def test_a_port_may_slew_at_just_its_limit() -> None:
    port = Port("u1", Kind.INPUT, "V", limits=Limits(-9, 9, slew=4.0), safe=SafeState(1.0))
    rig = replace(RIG, ports=(port,), time_unit=0.5)
    program = ShotProgram(0.5, Rest(), (Pass(2, (Drive("u1", Waveform.of([2.0, 2.0], 0.5), Role.INPUT),)),))
    assert attempt(RunShots((program,), compiled=(compile(program, rig),)), rig)


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_every_entry_of_a_matrix_of_knobs_is_checked(place: tuple[int, int]) -> None:
    rig = replace(RIG, knobs=(Knob("bias", (2, 2), "V", Limits(0.0, 1.0)),))
    for value in (1.5, -0.5):
        bias = np.array([[0.1, 0.2], [0.3, 0.4]])
        assert attempt(Configure({}, {"bias": bias}), rig)
        bias[place] = value
        with pytest.raises(LimitError, match="knob bias"):
            attempt(Configure({}, {"bias": bias}), rig)
