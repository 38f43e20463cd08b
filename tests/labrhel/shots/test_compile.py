from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrhel.errors import ProgramError
from labrhel.frozen import FrozenArray
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.capabilities import Capabilities, Channel, Converter, Kind, Port, Reversal, SafeState, Timing
from labrhel.rig.wiring import Wire, Wiring
from labrhel.shots.compile import compile, compile_all
from labrhel.shots.program import Acquire, Drive, GivenState, Hold, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Interpolation, Waveform

STEPS, STEP = 50, 0.1
EYE = FrozenArray(np.eye(1))


def rig(port: Port | None = None, **changes: Any) -> Capabilities:
    declared = Capabilities(
        "bench", 1, (port or Port("u1", Kind.INPUT),), (Channel("q1", Kind.POSITION),), (), EYE, EYE, EYE,
        prepares=frozenset({"rest", "state"}), reversals=frozenset({Reversal.MOMENTUM_FLIP}),
    )  # fmt: skip
    return replace(declared, **changes)


def program(values: np.ndarray | None = None, *, spacing: float = STEP, **changes: Any) -> ShotProgram:
    samples = np.sin(0.3 * np.arange(STEPS)) if values is None else values
    drive = Drive("u1", Waveform.of(samples, spacing, interpolation=Interpolation.CUBIC), Role.INPUT)
    return replace(ShotProgram(STEP, Rest(), (Pass(STEPS, (drive,)),)), **changes)


def calibration(**values: float) -> CalibrationSet:
    return CalibrationSet({f"u1.{name}": CalibratedValue(value, "", 0.0, "test") for name, value in values.items()})


def test_on_an_ideal_rig_what_is_asked_is_what_is_played_and_achieved() -> None:
    values = np.random.default_rng(0).normal(size=STEPS)
    shot = compile(program(values), rig())
    assert np.array_equal(shot.passes[0].played["u1"].samples.values, values)
    assert np.array_equal(shot.achieved("u1"), values)
    assert not shot.achieved("nothing").any()


def test_waveforms_on_one_port_add() -> None:
    one, two = np.random.default_rng(0).normal(size=(2, STEPS))
    drives = tuple(Drive("u1", Waveform.of(item, STEP), role) for item, role in ((one, Role.INPUT), (two, Role.NUDGE)))
    assert np.array_equal(compile(ShotProgram(STEP, Rest(), (Pass(STEPS, drives),)), rig()).achieved("u1"), one + two)


def test_equal_programs_compile_to_equal_shots_and_a_calibration_shows_in_the_digest() -> None:
    assert compile(program(), rig()) == compile(program(), rig())
    assert compile(program(), rig()) != compile(program(), rig(), calibration=calibration(gain=2.0))
    assert compile(program(), rig(), calibration=calibration(gain=2.0)).calibration == calibration(gain=2.0).digest


@given(st.floats(0.1, 10) | st.floats(-10, -0.1), st.floats(-2, 2), st.floats(0.1, 10), st.floats(-2, 2))
def test_gains_and_offsets_of_wire_and_calibration_cancel_between_played_and_achieved(
    gain: float, offset: float, calibrated_gain: float, calibrated_offset: float
) -> None:
    wires = Wiring({"u1": Wire("awg:1", gain, offset)})
    known = calibration(gain=calibrated_gain, offset=calibrated_offset)
    shot = compile(program(), rig(), wires, calibration=known)
    assert np.allclose(shot.achieved("u1"), compile(program(), rig()).achieved("u1"), atol=1e-12)
    device = shot.passes[0].played["u1"].samples.values
    assert np.allclose(device, (shot.achieved("u1") - calibrated_offset) / calibrated_gain / gain + offset, atol=1e-10)


@given(st.integers(2, 16))
def test_a_converter_changes_each_sample_by_at_most_half_a_code_and_says_so(bits: int) -> None:
    converter = Converter(bits, -1.0, 1.0)
    shot = compile(program(), rig(Port("u1", Kind.INPUT, converter=converter)))
    wanted = compile(program(), rig()).achieved("u1")
    played = shot.passes[0].played["u1"]
    codes = (played.samples.values - converter.low) / converter.lsb
    assert np.allclose(codes, np.rint(codes), atol=1e-6)
    assert np.array_equal(shot.achieved("u1"), played.samples.values)
    assert np.abs(shot.achieved("u1") - wanted).max() <= converter.lsb / 2 * (1 + 1e-9)
    assert played.lsb == converter.lsb


def test_a_converter_quantizes_in_device_units_and_the_result_is_in_model_units() -> None:
    port = Port("u1", Kind.INPUT, converter=Converter(8, -5.0, 5.0))
    shot = compile(program(), rig(port), Wiring({"u1": Wire("awg:1", gain=0.5, offset=1.0)}))
    assert np.abs(shot.achieved("u1") - compile(program(), rig()).achieved("u1")).max() <= 0.5 * 10 / 255 / 2 * 1.001


@pytest.mark.parametrize("gain", [1.1, 100.0])
def test_what_the_converter_cannot_reach_is_refused_and_never_clipped(gain: float) -> None:
    port = Port("u1", Kind.INPUT, converter=Converter(12, -1.0, 1.0))
    with pytest.raises(ProgramError, match="its converter reaches"):
        compile(program(gain * np.sin(0.3 * np.arange(STEPS))), rig(port))


@pytest.mark.parametrize("rate", [40.0, 100.0, 1000.0])
def test_a_port_with_fixed_rates_plays_the_slowest_that_is_fast_enough_over_the_whole_pass(rate: float) -> None:
    port = Port("u1", Kind.INPUT, timing=Timing(rates=(1.0, 10.0 * rate, rate)))
    played = compile(program(), rig(port)).passes[0].played["u1"]
    assert played.dt == pytest.approx(1 / rate)
    assert (len(played.samples) - 1) * played.dt < STEPS * STEP <= len(played.samples) * played.dt * (1 + 1e-9)


def test_a_fast_port_achieves_the_waveform_at_the_kicks() -> None:
    port = Port("u1", Kind.INPUT, timing=Timing(rates=(1000.0,)))
    ideal = compile(program(), rig()).achieved("u1")
    error = np.abs(compile(program(), rig(port)).achieved("u1") - ideal)
    # The first and last kick lie at the ends of the samples, where only one of the two device samples around it is w.
    assert error[1:-1].max() < 2e-5
    assert error.max() < 2e-3


def test_a_converter_that_holds_plays_the_value_due_at_the_middle_of_its_interval() -> None:
    port = Port("u1", Kind.INPUT, timing=Timing(rates=(40.0,)))
    played = compile(program(), rig(port)).passes[0].played["u1"].samples.values
    wave = program().passes[0].drives[0].waveform
    assert np.allclose(played, wave.on_grid(1 / 40, len(played), (1 / 40 - 0.1) / 2))
    assert not np.allclose(played, wave.on_grid(1 / 40, len(played)), atol=1e-2)


def test_a_port_that_is_too_slow_is_refused_with_both_rates() -> None:
    with pytest.raises(ProgramError, match="at most at 5 Hz, the program needs 10 Hz"):
        compile(program(), rig(Port("u1", Kind.INPUT, timing=Timing(rates=(2.0, 5.0)))))


def test_rates_are_in_hertz_and_steps_in_model_time() -> None:
    milliseconds = rig(Port("u1", Kind.INPUT, timing=Timing(rates=(10_000.0,))), time_unit=1e-3)
    assert compile(program(), milliseconds).passes[0].played["u1"].dt == pytest.approx(STEP)
    with pytest.raises(ProgramError, match="needs 10000 Hz"):
        compile(program(), rig(Port("u1", Kind.INPUT, timing=Timing(rates=(10.0,))), time_unit=1e-3))


def test_a_memory_too_short_for_the_pass_is_refused() -> None:
    compile(program(), rig(Port("u1", Kind.INPUT, timing=Timing(memory=STEPS))))
    with pytest.raises(ProgramError, match="holds 49 samples, the pass needs 50"):
        compile(program(), rig(Port("u1", Kind.INPUT, timing=Timing(memory=STEPS - 1))))


def test_a_delayed_port_plays_ahead_so_that_the_waveform_arrives_in_time() -> None:
    delayed = compile(program(), rig(), calibration=calibration(delay=2.5 * STEP))
    ahead = delayed.passes[0].played["u1"].samples.values
    wave = program().passes[0].drives[0].waveform
    assert np.allclose(ahead, wave.on_grid(STEP, STEPS, 2.5 * STEP))
    ideal = compile(program(), rig()).achieved("u1")
    # Read linearly half way between samples of sin(0.3 k): off by 0.3^2/8 of the amplitude at most.
    assert np.abs(delayed.achieved("u1") - ideal)[3:-1].max() < 0.0113


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prepare": Hold()}, "cannot be prepared by 'hold'; it offers: rest, state"),
        ({"prepare": GivenState(FrozenArray(np.zeros(2)), FrozenArray(np.zeros(2)))}, "the rig has 1 oscillators"),
        ({"passes": (Pass(3, (Drive("u9", Waveform.of([1.0], 1.0), Role.INPUT),)),)}, "has no port 'u9'"),
        ({"passes": (Pass(3, acquire=Acquire(("q9",))),)}, "has no channel 'q9'"),
        ({"passes": (Pass(3, acquire=Acquire(observables=("mass",))),)}, "cannot accumulate mass"),
        ({"passes": (Pass(3, acquire=Acquire(end_state=True)),)}, "cannot read its state"),
    ],
)
def test_what_the_rig_lacks_is_refused_by_name_before_anything_moves(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        compile(program(**change), rig())


def test_a_given_state_of_which_only_the_momentum_has_the_wrong_size_is_refused() -> None:
    with pytest.raises(ProgramError, match="state"):
        compile(program(prepare=GivenState(FrozenArray(np.zeros(1)), FrozenArray(np.zeros(3)))), rig())


def test_a_given_state_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ProgramError, match="state"):
        compile(program(prepare=GivenState(FrozenArray([np.nan]), FrozenArray(np.zeros(1)))), rig())


def test_a_complex_waveform_is_refused_on_a_real_port_and_taken_by_an_iq_port() -> None:
    values = np.exp(0.3j * np.arange(STEPS))
    with pytest.raises(ProgramError, match="takes real waveforms"):
        compile(program(values), rig())
    shot = compile(program(values), rig(Port("u1", Kind.INPUT, iq=True)))
    assert np.array_equal(shot.achieved("u1"), values)


ECHO = (Pass(STEPS, keep=True), Pass(STEPS, echo=True))


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ({Reversal.MOMENTUM_FLIP, Reversal.STATE_RESTORE}, Reversal.STATE_RESTORE),
        ({Reversal.MOMENTUM_FLIP, Reversal.CONJUGATION}, Reversal.MOMENTUM_FLIP),
        ({Reversal.CONJUGATION}, Reversal.CONJUGATION),
    ],
)
def test_the_cheapest_reversal_on_offer_is_taken(offered: set[Reversal], chosen: Reversal) -> None:
    shot = compile(program(passes=ECHO), rig(reversals=frozenset(offered)))
    assert [item.reversal for item in shot.passes] == [None, chosen]


@pytest.mark.parametrize("offered", [frozenset(), frozenset({Reversal.BY_DRIVE})])
def test_a_rig_that_cannot_reverse_within_a_shot_is_refused(offered: frozenset[Reversal]) -> None:
    with pytest.raises(ProgramError, match="reverse its state"):
        compile(program(passes=ECHO), rig(reversals=offered))


def test_a_restored_state_saves_the_forward_pass_and_a_flip_does_not() -> None:
    restore = rig(reversals=frozenset({Reversal.STATE_RESTORE}))
    assert compile(program(passes=ECHO), restore).planned_passes == 1
    assert compile(program(passes=ECHO), rig()).planned_passes == 2


def test_the_name_of_a_state_depends_on_its_past_and_on_nothing_after_it() -> None:
    def key(**changes: Any) -> str:
        return compile(program(**changes), rig()).state_key(0)

    first = program().passes[0]
    assert key() == key(passes=(first, Pass(7, echo=True)))
    assert key() == key(passes=(replace(first, acquire=Acquire(("q1",)), keep=True),), repeats=3)
    assert key() != key(dt=0.2)
    assert key() != key(prepare=GivenState(FrozenArray([0.1]), FrozenArray([0.0])))
    assert key() != key(passes=(replace(first, steps=STEPS - 1),))
    assert key() != key(passes=(Pass(STEPS),))


# -- nothing neutral: a wire that inverts, a calibration, a delay, a safe level that is not zero -----------

WIRES = Wiring({"u1": Wire("awg:1", gain=-2.0, offset=0.5, unit="mm")})
KNOWN = {"gain": 1.25, "offset": 0.1}


def wired(port: Port, time_unit: float = 1e-3, **known: float) -> Any:
    values = program(spacing=STEP)
    return compile(values, rig(port, time_unit=time_unit), WIRES, calibration(**KNOWN, **known))


def test_before_a_delayed_first_sample_arrives_the_port_is_still_at_its_safe_level() -> None:
    port = Port("u1", Kind.INPUT, safe=SafeState(1.0))
    shot = wired(port, delay=2.6e-4)  # 2.6 kicks of 0.1 ms
    idle = (1.0 - 0.5) * -2.0 * 1.25 + 0.1
    # The first sample is held from half an interval before it on: kicks 0, 1 and 2 are earlier than 2.1.
    assert np.allclose(shot.achieved("u1")[:3], idle)
    wave = program().passes[0].drives[0].waveform.on_grid(STEP, STEPS)
    assert np.abs(shot.achieved("u1") - wave)[3:-1].max() < 0.0113
    exact = wired(Port("u1", Kind.INPUT, safe=SafeState(1.0)), delay=2.5e-4)
    assert np.allclose(exact.achieved("u1")[:2], idle)
    assert not np.allclose(exact.achieved("u1")[2], idle)


@pytest.mark.parametrize("late", [0.0, 3.1e-4])
@pytest.mark.parametrize("rate", [10_000.0, 40_000.0, 65_000.0])
def test_a_burst_of_fixed_rate_begins_half_a_step_before_the_first_kick_however_late_its_port(
    late: float, rate: float
) -> None:
    shot = wired(Port("u1", Kind.INPUT, timing=Timing(rates=(rate,))), **({"delay": late} if late else {}))
    played = shot.passes[0].played["u1"]
    assert played.t0 == pytest.approx(-STEP / 2)
    assert played.dt == pytest.approx(1e3 / rate)
    wave = program().passes[0].drives[0].waveform
    middles = played.t0 + played.dt * (np.arange(len(played.samples)) + 0.5) + 1e3 * late
    wanted = wave.on_grid(played.dt, len(middles), middles[0])
    assert np.allclose((played.samples.values - 0.5) * -2.0 * 1.25 + 0.1, wanted)


@pytest.mark.parametrize(("rate", "count"), [(10.0, 50), (40.0, 200), (12.0, 60), (13.0, 65), (12.1, 61)])
def test_a_pass_takes_as_many_device_samples_as_cover_it_and_no_more(rate: float, count: int) -> None:
    for memory, fits in ((count, True), (count - 1, False)):
        port = Port("u1", Kind.INPUT, timing=Timing(rates=(rate,), memory=memory))
        if fits:
            assert len(compile(program(), rig(port)).passes[0].played["u1"].samples) == count
            continue
        with pytest.raises(ProgramError, match=f"holds {memory} samples, the pass needs {count}"):
            compile(program(), rig(port))


def test_a_rate_that_rounding_has_made_slower_than_the_step_is_fast_enough() -> None:
    port = Port("u1", Kind.INPUT, timing=Timing(rates=(10.0 * (1 - 5e-10),)))
    assert compile(program(), rig(port)).passes[0].played["u1"].dt == pytest.approx(STEP)
    with pytest.raises(ProgramError, match="at most"):
        compile(program(), rig(Port("u1", Kind.INPUT, timing=Timing(rates=(10.0 * (1 - 2e-9),)))))


def test_a_port_without_fixed_rates_has_no_time_of_its_own() -> None:
    played = wired(Port("u1", Kind.INPUT)).passes[0].played["u1"]
    assert (played.t0, played.dt, played.lsb) == (0.0, STEP, None)


def test_what_leaves_the_wire_is_told_before_any_calibration_and_only_where_a_wire_changes_it() -> None:
    played = wired(Port("u1", Kind.INPUT)).passes[0].played["u1"]
    assert played.delivered is not None
    assert np.allclose(played.delivered.values, (played.samples.values - 0.5) * -2.0)
    shot = wired(Port("u1", Kind.INPUT))
    assert np.allclose(shot.achieved("u1"), played.delivered.values * 1.25 + 0.1)
    bare = compile(program(), rig(), calibration=calibration(**KNOWN)).passes[0].played["u1"]
    assert bare.delivered is None


@pytest.mark.parametrize(("known", "same"), [({}, True), ({"gain": 2.0}, False), ({"offset": 0.5}, False)])
def test_samples_that_nothing_changes_are_those_of_the_program_itself(known: dict[str, float], same: bool) -> None:  # noqa: FBT001
    asked = program(np.linspace(0, 1, STEPS))
    shot = compile(asked, rig(), calibration=calibration(**known))
    given = asked.passes[0].drives[0].waveform.samples
    assert (shot.passes[0].played["u1"].samples is given) is same
    assert (shot.passes[0].achieved["u1"] is given) is same
    assert np.allclose(shot.achieved("u1"), given.values)


@pytest.mark.parametrize("end", [-1.0, 3.0])
def test_half_a_code_beyond_the_ends_of_a_converter_is_rounded_to_them_and_more_is_refused(end: float) -> None:
    converter = Converter(2, -1.0, 3.0)  # codes -1, 1/3, 5/3, 3
    port = Port("u1", Kind.INPUT, converter=converter)
    beyond = np.sign(end - 1.0) * converter.lsb / 2
    values = np.full(STEPS, 1.0)
    values[7] = end + 0.99 * beyond
    played = compile(program(values), rig(port)).passes[0].played["u1"].samples.values
    assert played[7] == end and np.allclose(played[:7], 5 / 3)  # half a code is rounded to the even one
    values[7] = end + 1.01 * beyond
    with pytest.raises(ProgramError, match="its converter reaches"):
        compile(program(values), rig(port))
    values[7] = end + beyond
    assert compile(program(values), rig(port)).passes[0].played["u1"].samples.values[7] == pytest.approx(end)


def test_a_converter_with_a_wire_names_the_terminal_and_its_unit() -> None:
    port = Port("u1", Kind.INPUT, "V", converter=Converter(12, -1.0, 1.0))
    with pytest.raises(ProgramError, match=r"port u1 \(awg:1\) needs .* V.*, its converter reaches"):
        compile(program(np.full(STEPS, 4.0)), rig(port), WIRES)


def restoring(*passes: Pass, prepare: Any = None) -> Any:
    able = rig(reversals=frozenset({Reversal.STATE_RESTORE}), prepares=frozenset({"rest", "hold", "state"}))
    return compile(ShotProgram(STEP, prepare or Rest(), passes), able)


READ = Acquire(("q1",))


@pytest.mark.parametrize(
    ("passes", "prepare", "planned"),
    [
        ((Pass(5), Pass(5, echo=True)), None, 1),
        ((Pass(5), Pass(5, echo=True)), Hold(), 2),  # what is held is known to nobody
        ((Pass(5, acquire=READ), Pass(5, echo=True)), None, 2),  # what is read must run
        ((Pass(5), Pass(5, echo=True, acquire=READ), Pass(5, echo=True)), None, 2),
        ((Pass(5), Pass(5, echo=True), Pass(5, echo=True, acquire=READ)), None, 1),
        ((Pass(5), Pass(5), Pass(5, echo=True), Pass(5)), None, 2),
        ((Pass(5), Pass(5)), None, 2),
    ],
)
def test_passes_before_the_last_restored_state_are_saved_unless_they_are_read(
    passes: tuple[Pass, ...], prepare: Any, planned: int
) -> None:
    assert restoring(*passes, prepare=prepare).planned_passes == planned


def test_what_reaches_a_port_is_told_by_pass_and_is_silence_where_it_is_not_driven() -> None:
    shot = compile(program(passes=(program().passes[0], Pass(7))), rig())
    assert shot.achieved("u1", 0).any() and len(shot.achieved("u1", 0)) == STEPS
    assert shot.achieved("u1").tolist() == [0.0] * 7
    assert (shot.dt, shot.repeats, shot.rig) == (STEP, 1, "bench")


@pytest.mark.parametrize(("part", "words"), [(0, "the positions of the given"), (1, "the momenta of the given")])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_given_state_says_which_part_is_not_finite(part: int, words: str, bad: float) -> None:
    state = [FrozenArray([0.5]), FrozenArray([0.25])]
    assert compile(program(prepare=GivenState(*state)), rig())
    state[part] = FrozenArray([bad])
    with pytest.raises(ProgramError, match=words):
        compile(program(prepare=GivenState(*state)), rig())


def test_an_observable_that_the_rig_sums_and_a_state_that_it_reads_are_taken() -> None:
    able = rig(accumulates=frozenset({"mass"}), reads_state=True)
    asked = Acquire(("q1",), observables=("mass",), end_state=True)
    assert compile(program(passes=(Pass(3, acquire=asked),)), able).passes[0].acquire is asked


def test_a_batch_is_compiled_as_its_programs_are_and_what_they_share_once() -> None:
    converted = rig(Port("u1", Kind.INPUT, timing=Timing(rates=(1 / STEP,)), converter=Converter(8, -2.0, 2.0)))
    one = program()
    shared = replace(one, passes=(*one.passes, Pass(STEPS, program(np.ones(STEPS)).passes[0].drives)))
    later = replace(one, passes=(*shared.passes[1:], *one.passes))  # the same drive, begun at another time
    batch = (one, shared, later, program())
    found = compile_all(batch, converted, calibration=calibration(gain=1.1))
    alone = [compile(item, converted, calibration=calibration(gain=1.1)) for item in batch]
    assert [item.digest for item in found] == [item.digest for item in alone]
    first, second, third, other = (shot.passes[0].played["u1"] for shot in found)
    assert first is second
    assert other is not first
    assert third is not first
