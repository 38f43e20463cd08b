"""Each imperfection on its own: what it does to the motion and to the readings, computed by hand beside it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, ProgramError
from labrhel.executor import Compiling, RigBackend
from labrhel.frozen import FrozenArray
from labrhel.model.leapfrog import leapfrog
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.wiring import Wire, Wiring
from labrhel.shots.capture import Capture, PassCapture
from labrhel.shots.compile import compile
from labrhel.shots.operations import RunShots
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.imperfections import (
    ClockErrors,
    ConverterErrors,
    Drift,
    FlipErrors,
    ForceNoise,
    HiddenFriction,
    Imperfection,
    Imperfections,
    KnobErrors,
    Life,
    Mismatch,
    NonReciprocity,
    PathErrors,
    ReplayErrors,
    Site,
)
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import reference_rig
from simbackend.rigs.simulated import ModelRig, SimulatedRig

STEP, STEPS = 0.1, 80
TIME = STEP * np.arange(STEPS)
WAVE = np.sin(0.9 * TIME) + 0.3
MODEL = reference_rig().model
START = GivenState(FrozenArray(np.linspace(-0.5, 0.5, 6)), FrozenArray(np.linspace(0.3, -0.3, 6)))
Q = tuple(f"q{i + 1}" for i in range(6))
V = tuple(f"v{i + 1}" for i in range(6))


@dataclass(frozen=True, slots=True)
class Everywhere(Imperfection):
    """Acts in every place where a registered imperfection can act."""

    size: float = 0.0

    def parameters(self, theta: Any, site: Site) -> Any:
        return {**theta, "stiffness": theta["stiffness"] * (1 + self.size)}

    def drifted(self, theta: Any, site: Site, shot: int) -> Any:
        return {**theta, "stiffness": theta["stiffness"] + self.size * shot}

    def forces(self, friction: Any, steps: int, site: Site, moment: Any) -> Any:
        return np.full((len(friction), steps), self.size * (moment.shot + 1))

    def flipped(self, momentum: Any, site: Site) -> Any:
        return momentum + self.size

    def reaching(self, values: Any, port: str, site: Site, moment: Any) -> Any:
        return values + self.size

    def arriving(self, values: Any, channel: str, site: Site, moment: Any) -> Any:
        return values + self.size


PARTS: dict[str, Any] = {
    "mismatch": Mismatch(0.01), "friction": HiddenFriction(0.01), "reciprocity": NonReciprocity(0.01),
    "drift": Drift(1e-4), "knobs": KnobErrors(hysteresis=0.01), "force": ForceNoise(1e-3), "flip": FlipErrors(0.01),
    "replay": ReplayErrors(0.01), "clock": ClockErrors(1e-3), "ports": PathErrors(0.01), "channels": PathErrors(0.01),
    "dac": ConverterErrors(8), "adc": ConverterErrors(8), "noise": 1e-3, "others": {"all": Everywhere(0.01)},
}  # fmt: skip


def rig(model: OscillatorNetwork = MODEL, seed: int = 7, life: Life | None = None, **errors: Any) -> SimulatedRig:
    return SimulatedRig(model, imperfections=Imperfections(seed=seed, **errors), life=life)


def forward(
    port: str = "u1", *, values: np.ndarray = WAVE, every: int = 1, repeats: int = 1, channels: tuple[str, ...] = Q + V
) -> ShotProgram:
    drives = (Drive(port, Waveform.of(values, STEP), Role.INPUT),)
    return ShotProgram(STEP, START, (Pass(STEPS, drives, Acquire(channels, every, end_state=True)),), repeats)


def fired(device: SimulatedRig, *programs: ShotProgram) -> list[Capture]:
    return device.run([compile(program, device.capabilities) for program in programs])


def traces(device: SimulatedRig, program: ShotProgram | None = None) -> PassCapture:
    return fired(device, forward() if program is None else program)[0].last


def positions(device: SimulatedRig, program: ShotProgram | None = None) -> np.ndarray:
    return traces(device, program).stack(Q)


def by_hand(force: Any = None, *, friction: np.ndarray | None = None, drive: np.ndarray | None = None) -> np.ndarray:
    pushed = MODEL.input_force(WAVE[None], {}) if drive is None else drive
    rubbed = np.zeros((6, 6)) if friction is None else friction
    law = (lambda q: MODEL.force(q, {})) if force is None else force
    return leapfrog(law, MODEL.mass({}), rubbed, pushed, STEP, START.position.values, START.momentum.values).q


def on_first(values: np.ndarray) -> np.ndarray:
    force = np.zeros((6, STEPS))
    force[0] = values
    return force


def test_with_everything_off_the_bits_and_the_declaration_are_those_of_the_ideal_rig() -> None:
    ideal, off = SimulatedRig(MODEL), rig()
    assert off.capabilities.digest == ideal.capabilities.digest
    programs = [forward(), forward("f3", every=3, repeats=2)]
    for one, other in zip(fired(ideal, *programs), fired(off, *programs), strict=True):
        for name in Q + V:
            assert np.array_equal(one.last.traces[name].values, other.last.traces[name].values)
        assert one.last.end_state is not None
        assert other.last.end_state is not None
        assert np.array_equal(one.last.end_state.momentum, other.last.end_state.momentum)


def test_every_part_alone_changes_something_when_it_is_on() -> None:
    echo = Pass(STEPS, (Drive("u1", Waveform.of(WAVE[::-1], STEP), Role.INPUT),), Acquire(Q), echo=True)
    whole = ShotProgram(STEP, START, (forward().passes[0], echo))

    def motion(**errors: Any) -> np.ndarray:
        device = rig(life=Life(), **errors)
        device.configure({"stiffness": np.asarray(MODEL.parameters["stiffness"].nominal) * 0.8})
        device.configure({"stiffness": MODEL.parameters["stiffness"].nominal})
        first, second = fired(device, whole, whole)
        return np.concatenate([second.passes[0].stack(Q), second.passes[1].stack(Q), first.passes[1].stack(Q)], axis=1)

    reference = motion()
    assert set(PARTS) == set(Imperfections.__dataclass_fields__) - {"seed"}
    for name, part in PARTS.items():
        assert not np.array_equal(motion(**{name: part}), reference), name


@pytest.mark.parametrize("part", [*PARTS, "all"])
def test_every_part_acts_on_the_readable_leapfrog_as_on_the_kernels(part: str) -> None:
    on = PARTS if part == "all" else {part: PARTS[part]}
    devices = [kind(MODEL, imperfections=Imperfections(seed=7, **on)) for kind in (SimulatedRig, ModelRig)]
    echo = Pass(STEPS, (Drive("u1", Waveform.of(WAVE[::-1], STEP), Role.INPUT),), Acquire(Q + V), echo=True)
    whole = ShotProgram(STEP, START, (forward(every=2).passes[0], echo), repeats=2)
    for device in devices:
        device.configure({"stiffness": np.asarray(MODEL.parameters["stiffness"].nominal) * 0.8})
    for one, other in zip(*(fired(device, whole, forward("f3")) for device in devices), strict=True):
        for first, second in zip(one.passes, other.passes, strict=True):
            for name, trace in first.traces.items():
                assert np.abs(trace.values - second.traces[name].values).max() < 1e-11
            if first.end_state is not None and second.end_state is not None:
                assert np.abs(first.end_state.momentum - second.end_state.momentum).max() < 1e-11


def test_mismatch_moves_every_part_by_its_share_and_the_motion_is_that_of_the_true_parts() -> None:
    device = rig(mismatch=Mismatch(0.05))
    true = device.true_parameters()
    for name in ("mass", "stiffness", "cubic", "coupling"):
        ratio = np.log(true[name] / MODEL.parameters[name].nominal)
        assert np.unique(ratio).size == ratio.size
        assert 0.02 < np.sqrt(np.mean(ratio**2)) < 0.1
    drive = MODEL.input_force(WAVE[None], true)
    motion = leapfrog(
        lambda q: MODEL.force(q, true), MODEL.mass(true), np.zeros((6, 6)), drive, STEP, START.position.values,
        START.momentum.values,
    )  # fmt: skip
    assert np.abs(positions(device) - motion.q).max() < 1e-12
    assert np.array_equal(device.read(["mass"])["mass"], MODEL.parameters["mass"].nominal)  # it knows only its knobs


def test_hidden_friction_is_uniform_by_mode_or_a_matrix() -> None:
    mass = MODEL.mass({})
    uniform = HiddenFriction(uniform=0.02)
    assert np.abs(positions(rig(friction=uniform)) - by_hand(friction=0.02 * np.diag(mass))).max() < 1e-12
    matrix = HiddenFriction(matrix=FrozenArray(0.01 * np.ones((6, 6))))
    assert np.abs(positions(rig(friction=matrix)) - by_hand(friction=0.01 * np.ones((6, 6)))).max() < 1e-12
    assert np.allclose(HiddenFriction(modes=(0.02,) * 6).added(MODEL), uniform.added(MODEL), atol=1e-15)
    slow = HiddenFriction(modes=(0.3, 0, 0, 0, 0, 0)).added(MODEL)
    hessian = MODEL.hessian(np.zeros(6), {})
    values, vectors = np.linalg.eig(np.linalg.solve(np.diag(mass), hessian))
    shape = vectors[:, np.argmin(values)]  # the slowest mode, and no other, loses energy
    assert np.allclose(slow @ shape, 0.3 * mass * shape, atol=1e-12)
    assert np.allclose(slow @ vectors[:, np.argmax(values)], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("friction", "words"),
    [
        (HiddenFriction(modes=(0.1,)), "6 modes, not 1"),
        (HiddenFriction(uniform=-0.1), "must not be negative"),
        (HiddenFriction(matrix=FrozenArray(np.triu(np.ones((6, 6))))), "symmetric"),
    ],
)
def test_friction_that_no_rig_can_have_is_refused(friction: HiddenFriction, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        rig(friction=friction)


def test_non_reciprocity_is_an_antisymmetric_pull_on_the_coupled_pairs() -> None:
    part = NonReciprocity(0.1)
    extra = part.matrix(MODEL, {}, 7)
    assert np.array_equal(extra, -extra.T)
    assert np.count_nonzero(extra) == 2 * len(MODEL.edges)
    expected = by_hand(lambda q: MODEL.force(q, {}) + extra @ q)
    assert np.abs(positions(rig(reciprocity=part)) - expected).max() < 1e-12


def test_a_flip_that_is_not_exact_changes_the_momenta_by_gain_and_offset() -> None:
    flip = FlipErrors(error=0.05, offset=0.1)
    one_kick = Pass(1, acquire=Acquire(end_state=True))
    ideal = fired(SimulatedRig(MODEL), ShotProgram(STEP, START, (one_kick, replace(one_kick, echo=True))))[0]
    ended = ideal.passes[0].end_state
    assert ended is not None
    turned = flip.flipped(-ended.momentum, Site(MODEL, 7))[0]
    again = flip.flipped(-ended.momentum, Site(MODEL, 7))[0]
    assert np.array_equal(turned, again)  # one device, one offset
    offset = turned + 1.05 * ended.momentum[0]
    assert 0.03 < np.sqrt(np.mean(offset**2)) < 0.3
    given = GivenState(FrozenArray(ended.position[0]), FrozenArray(turned))
    expected = fired(SimulatedRig(MODEL), ShotProgram(STEP, given, (one_kick,)))[0].last.end_state
    real = fired(rig(flip=flip), ShotProgram(STEP, START, (one_kick, replace(one_kick, echo=True))))[0].last.end_state
    assert expected is not None
    assert real is not None
    assert np.array_equal(real.momentum, expected.momentum)


@pytest.mark.parametrize("delay", [0.0, STEP, 0.3 * STEP, 2.7 * STEP, -0.4 * STEP])
def test_a_delayed_port_plays_late_by_any_part_of_a_sample(delay: float) -> None:
    late = np.interp(TIME - delay, np.concatenate([[-STEP], TIME, [TIME[-1] + STEP]]), np.concatenate([[0], WAVE, [0]]))
    device = rig(ports=PathErrors(delay=delay, gain=0.0, exact={"u1.gain": 1.0}))
    assert np.abs(positions(device) - by_hand(drive=on_first(late))).max() < 1e-12
    whole = round(delay / STEP)
    if abs(delay - whole * STEP) < 1e-12 and whole:
        assert np.allclose(late, np.concatenate([np.zeros(whole), WAVE[:-whole]]))


def test_gain_and_offset_of_a_port_are_there_whether_it_plays_or_not() -> None:
    exact = {"u1.gain": 1.1, "u1.offset": 0.2, "f2.offset": -0.3}
    drive = on_first(1.1 * WAVE + 0.2)
    drive[1] = -0.3
    assert np.abs(positions(rig(ports=PathErrors(exact=exact))) - by_hand(drive=drive)).max() < 1e-12


def test_the_gain_of_a_port_differs_from_shot_to_shot_and_within_none() -> None:
    linear = reference_rig(cubic=0.0).model
    device = SimulatedRig(linear, imperfections=Imperfections(seed=3, ports=PathErrors(jitter=0.02)))
    start = replace(forward(), prepare=Rest(), repeats=600)
    capture = fired(device, start)[0].last
    moved = np.stack([capture.traces[name].values for name in Q])  # (6, shots, steps)
    gains = np.einsum("isk,ik->s", moved, moved[:, 0]) / np.sum(moved[:, 0] ** 2)
    assert np.std(gains / gains.mean()) == pytest.approx(0.02, rel=0.1)
    assert np.allclose(moved, gains[:, None] * moved[:, :1], atol=1e-12)


def test_an_ac_coupled_port_forgets_a_constant_at_its_corner() -> None:
    corner = 0.5
    decay = np.exp(-2 * np.pi * corner * TIME)  # the exact answer to a step
    device = rig(ports=PathErrors(corner=corner))
    expected = by_hand(drive=on_first(decay))
    assert np.abs(positions(device, forward(values=np.ones(STEPS))) - expected).max() < 1e-12


def test_a_fast_clock_plays_and_reads_early() -> None:
    skew = -1e-2
    padded = np.concatenate([[0], WAVE, [0]]), np.concatenate([[-STEP], TIME, [TIME[-1] + STEP]])
    early = by_hand(drive=on_first(np.interp(TIME / (1 + skew), padded[1], padded[0])))
    read = np.array([np.interp((1 + skew) * TIME, TIME, row) for row in early])
    assert np.abs(positions(rig(clock=ClockErrors(skew))) - read).max() < 1e-12


def test_replay_errors_are_those_of_the_inputs_in_the_echo_alone() -> None:
    device = rig(replay=ReplayErrors(gain=0.05, delay=STEP))
    drives = forward().passes[0].drives
    push = Drive("f2", Waveform.of(WAVE, STEP), Role.NUDGE)
    program = ShotProgram(
        STEP, START, (Pass(STEPS, drives, Acquire(Q)), Pass(STEPS, (*drives, push), Acquire(Q), echo=True))
    )
    first, echo = fired(device, program)[0].passes
    assert np.abs(first.stack(Q) - by_hand()).max() < 1e-12
    wrong = Drive("u1", Waveform.of(1.05 * np.concatenate([[0], WAVE[:-1]]), STEP), Role.INPUT)
    as_if = replace(program, passes=(program.passes[0], replace(program.passes[1], drives=(wrong, push))))
    assert np.abs(echo.stack(Q) - fired(SimulatedRig(MODEL), as_if)[0].last.stack(Q)).max() < 1e-12


def test_the_paths_of_channels_are_undone_by_a_calibration_with_their_values() -> None:
    exact = {"q2.gain": 1.2, "q2.offset": 0.1, "position.delay": 2 * STEP}
    device = rig(channels=PathErrors(exact=exact))
    calibration = CalibrationSet({name: CalibratedValue(value, "", 0.0, "truth") for name, value in {
        "q2.gain": 1.2, "q2.offset": 0.1, "q2.delay": 2 * STEP}.items()})  # fmt: skip
    true, raw = by_hand()[1], traces(device).traces["q2"].values[0]
    assert np.abs(raw[2:] - (true[:-2] - 0.1) / 1.2).max() < 1e-12
    chain = Compiling(RigBackend(device), device.capabilities, calibration=calibration)
    decoded = chain.do(RunShots((forward(),)))[0].last.traces["q2"]
    assert decoded.t0 == 0.0
    assert np.abs(decoded.values[0, :-2] - true[:-2]).max() < 1e-12


def test_the_paths_of_ports_are_undone_by_a_calibration_with_their_values() -> None:
    exact = {"u1.gain": 1.2, "u1.offset": 0.1, "u1.delay": 2 * STEP}
    device = rig(ports=PathErrors(exact=exact))
    values = {name: CalibratedValue(value, "", 0.0, "truth") for name, value in exact.items()}
    smooth = np.sin(np.pi * TIME / TIME[-1]) ** 2  # nothing happens while the port is still silent
    program = forward(values=smooth)
    shot = compile(program, device.capabilities, calibration=CalibrationSet(values))
    silent = on_first(smooth)
    silent[0, :2] = 0.1  # the port idles at its offset until the first sample arrives
    assert np.abs(device.run([shot])[0].last.stack(Q) - by_hand(drive=silent)).max() < 1e-3
    early = on_first(device.true_inputs(shot)["u1"])
    assert np.abs(early[0, 2:] - smooth[2:]).max() < 1e-12


def test_hidden_errors_act_behind_the_wire_of_a_port() -> None:
    device, wires = rig(ports=PathErrors(exact={"u1.gain": 1.1})), Wiring({"u1": Wire("ch1", gain=0.5)})
    shot = compile(forward(), device.capabilities, wires)
    assert np.allclose(shot.passes[0].played["u1"].samples.values, 2 * WAVE)
    assert np.allclose(device.true_inputs(shot)["u1"], 1.1 * WAVE)


@pytest.mark.parametrize("every", [1, 4])
def test_a_channel_read_late_shows_the_straight_lines_between_the_kicks(every: int) -> None:
    device = rig(channels=PathErrors(delay=0.25 * STEP))
    true = by_hand()
    shown = positions(device, forward(every=every))
    between = true.copy()
    between[:, 1:] = 0.75 * true[:, 1:] + 0.25 * true[:, :-1]
    velocity = START.momentum.values / MODEL.mass({})
    between[:, 0] = true[:, 0] - 0.25 * STEP * velocity
    assert np.abs(shown - between[:, ::every]).max() < 1e-12


def test_an_ac_coupled_channel_forgets_where_the_rig_stands() -> None:
    still = OscillatorNetwork(1, nominal={"stiffness": 0.0})
    program = ShotProgram(
        STEP, GivenState(FrozenArray([2.0]), FrozenArray([0.0])), (Pass(STEPS, acquire=Acquire(("q1",))),)
    )
    shown = fired(rig(still, channels=PathErrors(corner=0.3)), program)[0].last.traces["q1"].values[0]
    assert np.allclose(shown, 2 * np.exp(-2 * np.pi * 0.3 * TIME), atol=1e-12)


def test_an_adc_rounds_clips_counts_and_keeps_its_codes() -> None:
    device = rig(adc=ConverterErrors(bits=6, reach=0.5))
    trace, true = traces(device).traces["q1"], by_hand()[0]
    lsb = 1.0 / 64
    assert trace.scale == pytest.approx(lsb)
    assert trace.codes is not None
    assert trace.codes.dtype == np.int32
    assert np.array_equal(trace.values, trace.codes * trace.scale + trace.offset)
    inside = (true > -0.5) & (true < 0.5 - lsb)
    assert np.abs(trace.values[0][inside] - true[inside]).max() <= lsb / 2 * (1 + 1e-9)
    beyond = (true < -0.5 - lsb / 2) | (true > 0.5 - lsb / 2)
    assert trace.over_range == beyond.sum() > 0
    assert set(trace.codes[0][beyond]) <= {0, 63}
    converter = device.capabilities.channel("q1").converter
    assert converter is not None
    assert (converter.bits, converter.low) == (6, -0.5)


def test_zero_is_a_code_of_every_converter() -> None:
    trace = fired(rig(adc=ConverterErrors(8, 3.0)), ShotProgram(STEP, Rest(), (Pass(4, acquire=Acquire(("q1",))),)))[
        0
    ].last.traces["q1"]
    assert not trace.values.any()


def test_a_dac_is_declared_so_the_compiler_rounds_to_it_and_refuses_what_is_beyond() -> None:
    device = rig(dac=ConverterErrors(bits=5, reach=2.0))
    shot = compile(forward(), device.capabilities)
    played = shot.passes[0].played["u1"].samples.values
    assert np.allclose(played, np.rint(WAVE / 0.125) * 0.125)
    assert np.abs(positions(device) - by_hand(drive=on_first(played))).max() < 1e-12
    with pytest.raises(ProgramError, match="its converter reaches"):
        compile(forward(values=3 * WAVE), device.capabilities)


def test_read_out_noise_has_its_size_is_declared_and_is_new_in_every_repeat() -> None:
    device = rig(noise=0.01)
    assert device.capabilities.channel("q3").noise == 0.01
    assert device.capabilities.accumulates == frozenset()  # sums of ideal readings would hide the noise
    capture = traces(device, forward(repeats=20))
    rest = np.array([capture.traces[name].values for name in Q]) - by_hand()[:, None]
    assert rest.std() == pytest.approx(0.01, rel=0.05)
    assert np.unique(rest).size == rest.size
    assert capture.end_state is not None
    assert capture.end_state.position.shape == (20, 6)
    assert capture.end_state.position[:, 0].std() > 0.003


def test_thermal_noise_brings_a_rig_with_friction_to_its_temperature() -> None:
    model = OscillatorNetwork(2, coupling="all", nominal={"coupling": 0.5, "mass": [1.0, 2.0], "friction": 0.5})
    device = rig(model, force=ForceNoise(temperature=0.3))
    program = ShotProgram(STEP, Rest(), (Pass(40_000, acquire=Acquire(("v1", "v2"), 10)),))
    v = fired(device, program)[0].last.stack(("v1", "v2"))
    assert np.mean(v**2, axis=1) * [1.0, 2.0] == pytest.approx(0.3, rel=0.1)  # m <v^2> = kT


def test_force_noise_gathers_momentum_by_its_density_whatever_the_step() -> None:
    free = OscillatorNetwork(1, nominal={"stiffness": 0.0})
    for step in (0.1, 0.025):
        program = ShotProgram(step, Rest(), (Pass(round(4 / step), acquire=Acquire(end_state=True)),), repeats=400)
        state = fired(rig(free, force=ForceNoise(density=0.2)), program)[0].last.end_state
        assert state is not None
        assert state.momentum.std() == pytest.approx(0.2 * np.sqrt(4), rel=0.15)


def test_jitter_moves_ports_and_readings_by_its_size() -> None:
    still = OscillatorNetwork(1, nominal={"stiffness": 0.0})
    moving = GivenState(FrozenArray([0.0]), FrozenArray([1.0]))  # q = t: a reading that is late by x shows -x
    program = ShotProgram(STEP, moving, (Pass(STEPS, acquire=Acquire(("q1",))),), repeats=300)
    device = rig(still, clock=ClockErrors(jitter=0.2))
    assert device.capabilities.triggers[0].jitter == pytest.approx(0.2)
    middle = fired(device, program)[0].last.traces["q1"].values[:, STEPS // 2]
    assert middle.std() == pytest.approx(0.2, rel=0.15)


def test_a_knob_with_backlash_stops_short_from_either_side() -> None:
    one = OscillatorNetwork(1, nominal={"stiffness": 2.0})
    device = rig(one, knobs=KnobErrors(hysteresis=0.1))  # a width of 0.2

    def real(value: float) -> float:
        assert device.configure({"stiffness": np.array([value])})["stiffness"] == [value]
        return float(device.true_parameters()["stiffness"][0])

    assert [real(x) for x in (2.05, 3.0, 2.95, 2.5, 2.6)] == pytest.approx([2.0, 2.9, 2.9, 2.6, 2.6])


def test_a_knob_settles_with_every_shot() -> None:
    one = OscillatorNetwork(1, nominal={"stiffness": 2.0})
    device = rig(one, knobs=KnobErrors(settling=3.0))
    device.configure({"stiffness": np.array([3.0])})
    seen = [float(device.true_parameters(shot)["stiffness"][0]) for shot in range(5)]
    assert seen == pytest.approx([3 - np.exp(-(shot + 1) / 3) for shot in range(5)])
    program = ShotProgram(
        STEP, GivenState(FrozenArray([1.0]), FrozenArray([0.0])), (Pass(1, acquire=Acquire(end_state=True)),)
    )
    states = [capture.last.end_state for capture in fired(device, program, program)]
    momenta = [state.momentum[0, 0] for state in states if state is not None]
    assert momenta == pytest.approx([-STEP * seen[0], -STEP * seen[1]])
