from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, ProgramError, TransportError
from labrhel.executor import Compiling, RigBackend, execute
from labrhel.frozen import FrozenArray
from labrhel.learning.checking import compare
from labrhel.learning.estimator import Estimator
from labrhel.learning.gradient import Gradient
from labrhel.learning.task import TrialSequence
from labrhel.rig.capabilities import Kind, Port, Reversal, Timing
from labrhel.shots.capture import Capture, PassCapture
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Operation, RunShots
from labrhel.shots.waveform import Interpolation, Waveform
from protocols.rhel import RHEL
from simbackend.rigs.partly_read import showing
from simbackend.rigs.reference import ReferenceTask, lossy_rig, reference_rig
from simbackend.rigs.simulated import SimulatedRig
from simbackend.testing.small_rig import small_rig

RHEL_ON_TRACES: dict[str, Any] = {"accumulates": frozenset()}


def agree(a: Gradient, b: Gradient, names: Sequence[str] = ()) -> float:
    """Relative distance of two gradients as one vector."""
    names = names or list(a.values)
    return compare(*(np.concatenate([np.ravel(item.values[name]) for name in names]) for item in (a, b)))[1]


@pytest.fixture(scope="module")
def lossless() -> ReferenceTask:
    return reference_rig()


@pytest.mark.parametrize(
    ("estimator", "response", "tolerance"),
    [(Estimator.ONE_SIDED, 1e-6, 1e-4), (Estimator.SYMMETRIC, 1e-5, 1e-6), (Estimator.FOUR_POINT, 1e-4, 1e-8)],
)
def test_every_estimator_gives_the_exact_gradient(
    lossless: ReferenceTask, estimator: Estimator, response: float, tolerance: float
) -> None:
    gradient = lossless.gradient(RHEL(estimator, response=response))
    cosine, error = lossless.compare(gradient)
    assert error < tolerance
    assert cosine > 1 - tolerance
    assert gradient.rule == f"rhel/{estimator}/plain"
    assert gradient.warnings == ()


@pytest.mark.parametrize("estimator", list(Estimator))
def test_the_loss_is_that_of_the_forward_pass_and_the_read_out_terms_are_exact(
    lossless: ReferenceTask, estimator: Estimator
) -> None:
    gradient, (loss, exact) = lossless.gradient(RHEL(estimator)), lossless.exact()
    assert gradient.loss == pytest.approx(loss, rel=1e-12)
    for name in ("readout", "readout_offset"):
        assert np.allclose(gradient.values[name], exact[name], rtol=1e-11)


@pytest.mark.parametrize(("estimator", "echoes"), [("one_sided", 2), ("symmetric", 2), ("four_point", 4)])
def test_shots_and_passes_are_what_the_rig_ran(estimator: str, echoes: int) -> None:
    for offers, passes in (
        ({Reversal.STATE_RESTORE}, 1 + echoes),
        ({Reversal.MOMENTUM_FLIP}, 1 + 2 * echoes),
    ):
        reference = rig_that_offers(reference_rig(), offers)
        gradient = reference.gradient(RHEL(Estimator(estimator), eps=1e-4))
        assert (gradient.shots, gradient.passes) == (1 + echoes, passes)


def rig_that_offers(reference: ReferenceTask, offers: set[Reversal]) -> ReferenceTask:
    rig = SimulatedRig(reference.model, offers=frozenset(offers))
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


def test_flipping_and_restoring_give_the_same_bits() -> None:
    for reference in (reference_rig(), lossy_rig(np.random.default_rng(4))):
        flipped, restored = (
            rig_that_offers(reference, {offer}).gradient(RHEL())
            for offer in (Reversal.MOMENTUM_FLIP, Reversal.STATE_RESTORE)
        )
        for name, value in flipped.values.items():
            assert np.array_equal(value, restored.values[name]), name


def test_observables_summed_on_the_rig_and_computed_from_traces_agree() -> None:
    for reference in (reference_rig(), lossy_rig(np.random.default_rng(4))):
        # From traces the curvature of an observable is taken off, on the rig it is not: that is of the order of r^2.
        rule = RHEL(response=1e-5)
        assert agree(reference.gradient(rule), reference.declaring(**RHEL_ON_TRACES).gradient(rule)) < 1e-9


def test_a_rig_may_sum_some_observables_and_leave_others_to_the_host() -> None:
    reference = lossy_rig(np.random.default_rng(4))
    rule = RHEL(response=1e-5)
    some = reference.declaring(accumulates=frozenset({"cubic", "input"}))
    assert agree(reference.gradient(rule), some.gradient(rule)) < 1e-9


def test_only_the_parameters_asked_for_are_returned(lossless: ReferenceTask) -> None:
    gradient = lossless.gradient(RHEL(), ("coupling", "readout_offset"))
    assert set(gradient.values) == {"coupling", "readout_offset"}
    assert gradient.standard_error is None


@pytest.mark.parametrize("name", ["couplings", "readout_gain", ""])
def test_an_unknown_parameter_is_refused_by_name(lossless: ReferenceTask, name: str) -> None:
    with pytest.raises(ConfigurationError, match=repr(name)):
        lossless.gradient(RHEL(), ("coupling", name))


@pytest.mark.parametrize("target", [1e-6, 1e-4, 1e-2])
def test_automatic_eps_reaches_the_response_asked_for(target: float) -> None:
    for seed in range(5):
        reference = lossy_rig(np.random.default_rng(seed))
        first = reference.gradient(RHEL(response=target), ("stiffness",))
        assert 0.1 < first.response_ratio / target < 10
        again = execute(
            RHEL(response=target).gradient(reference.request(("stiffness",), first.nudge)),
            reference.handler(),
        )
        assert again.response_ratio == pytest.approx(target, rel=0.05)
        assert again.shots == 3


def test_a_start_value_of_eps_that_is_wildly_off_is_corrected(lossless: ReferenceTask) -> None:
    from labrhel.learning.gradient import NudgeRecord

    for eps in (1e-14, 1e-9):
        protocol = RHEL(response=1e-4).gradient(lossless.request(("coupling",), NudgeRecord(eps, 1e-4)))
        gradient = execute(protocol, lossless.handler())
        assert 1e-5 < gradient.response_ratio < 1e-3


def test_a_rig_without_any_restoring_force_is_nudged_all_the_same() -> None:
    free = replace(reference_rig(), theta={**reference_rig().theta, "stiffness": np.zeros(6), "coupling": np.zeros(15)})
    gradient = free.gradient(RHEL(response=1e-5), ("coupling",))
    assert 1e-6 < gradient.response_ratio < 1e-4
    assert gradient.warnings == ()


def test_a_fixed_eps_is_used_as_it_is(lossless: ReferenceTask) -> None:
    gradient = lossless.gradient(RHEL(eps=3e-5), ("coupling",))
    assert gradient.eps == pytest.approx(3e-5, rel=1e-12)
    assert gradient.shots == 3


@pytest.mark.parametrize("arguments", [{"eps": 0.0}, {"eps": -1.0}, {"eps": np.nan}, {"response": 0.0}, {"repeats": 0}])
def test_a_nudge_or_repeat_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        RHEL(**arguments)


def test_the_response_is_measured_as_rms_over_rms(lossless: ReferenceTask) -> None:
    """Against echoes run by hand: the state moved by r times its rms on average."""
    small, large = (lossless.gradient(RHEL(eps=eps), ("coupling",)).response_ratio for eps in (1e-5, 1e-4))
    assert large / small == pytest.approx(10, rel=1e-3)


def test_a_perfect_read_out_gives_a_zero_gradient_and_says_so(lossless: ReferenceTask) -> None:
    sequence = lossless.sequences[0]
    from labrhel.learning.train import free_run

    outputs = execute(free_run(lossless.task, [sequence], lossless.theta), lossless.handler())[0]
    perfect = replace(lossless, sequences=(replace(sequence, target=outputs),))
    gradient = perfect.gradient(RHEL())
    assert gradient.loss == 0
    assert not any(value.any() for value in gradient.values.values())
    assert any("error is zero" in words for words in gradient.warnings)


def test_a_nudge_too_large_for_a_nonlinear_rig_comes_with_a_warning(lossless: ReferenceTask) -> None:
    gradient = lossless.gradient(RHEL(eps=0.3), ("coupling",))
    assert any("large for a nonlinear rig" in words for words in gradient.warnings)
    linear = reference_rig(0.0).gradient(RHEL(eps=0.3), ("coupling",))
    assert not linear.warnings


def test_a_nudge_lost_in_rounding_comes_with_a_warning(lossless: ReferenceTask) -> None:
    gradient = lossless.gradient(RHEL(eps=1e-13), ("coupling",))
    assert any("close to rounding" in words for words in gradient.warnings)


def test_repeats_on_a_rig_without_noise_change_nothing_and_have_no_spread() -> None:
    reference = lossy_rig(np.random.default_rng(1))
    once, thrice = (reference.gradient(RHEL(eps=1e-4, repeats=repeats)) for repeats in (1, 3))
    assert thrice.standard_error is not None
    assert set(thrice.standard_error) == set(thrice.values)
    for name, value in once.values.items():
        assert np.allclose(value, thrice.values[name], rtol=1e-13)
        assert np.all(thrice.standard_error[name] <= 1e-12 * (1 + np.abs(value)))
        assert thrice.standard_error[name].shape == value.shape
    assert (once.shots, thrice.shots) == (3, 9)


class Noisy:
    """A rig whose readings scatter, anew in each repeat."""

    def __init__(self, inner: SimulatedRig, sigma: float) -> None:
        self._inner, self._sigma, self._random = inner, sigma, np.random.default_rng(3)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        return [
            replace(capture, passes=tuple(self._shaken(item) for item in capture.passes))
            for capture in self._inner.run(shots)
        ]

    def _shaken(self, item: PassCapture) -> PassCapture:
        traces = {
            name: replace(trace, values=trace.values + self._sigma * self._random.normal(size=trace.values.shape))
            for name, trace in item.traces.items()
        }
        return replace(item, traces=traces)


def test_the_standard_error_of_repeats_is_the_scatter_of_the_mean() -> None:
    reference = lossy_rig(np.random.default_rng(1)).declaring(**RHEL_ON_TRACES)
    rig = Noisy(reference.rig, 1e-4)
    handler = Compiling(RigBackend(rig), reference.task.capabilities)
    rule = RHEL(eps=0.05, repeats=4)

    def measure() -> Gradient:
        return execute(rule.gradient(reference.request(("stiffness",))), handler)

    runs = [measure() for _ in range(40)]
    scatter = np.std([item.values["stiffness"] for item in runs], axis=0)
    claimed = np.sqrt(
        np.mean([np.square(item.standard_error["stiffness"]) for item in runs if item.standard_error], axis=0)
    )
    # The noise of the forward pass enters through the nudge alike in all repeats and is not in the error bar.
    assert np.all(claimed < 1.5 * scatter)
    assert np.mean(claimed / scatter) > 0.3


def sampled(reference: ReferenceTask, every: int, kind: Interpolation, lengths: Sequence[int]) -> ReferenceTask:
    """Sequences whose input is given more coarsely than the step, of different lengths, with weights."""
    random = np.random.default_rng(9)
    sequences = []
    for samples in lengths:
        time = every * reference.task.step * np.arange(samples)
        inputs = {
            name: Waveform.of(0.5 * np.sin(0.9 * time + index), every * reference.task.step, interpolation=kind)
            for index, name in enumerate(reference.model.inputs)
        }
        outputs = reference.sequences[0].target.shape[0]
        sequences.append(
            TrialSequence(f"{samples}", inputs, random.normal(size=(outputs, samples)), random.uniform(size=samples))
        )
    return replace(reference, task=replace(reference.task, every=every), sequences=tuple(sequences))


@pytest.mark.parametrize("kind", list(Interpolation))
@pytest.mark.parametrize("make", [reference_rig, lambda: lossy_rig(np.random.default_rng(6))])
def test_inputs_read_between_their_samples_are_replayed_exactly(kind: Interpolation, make: Any) -> None:
    reference = sampled(make(), 4, kind, (120,))
    gradient = reference.gradient(RHEL())
    assert reference.compare(gradient)[1] < 1e-6
    assert gradient.retrace_error < 1e-7


def test_sequences_of_different_length_are_one_batch() -> None:
    reference = sampled(lossy_rig(np.random.default_rng(6)), 3, Interpolation.CUBIC, (150, 60, 150, 1, 91))
    gradient = reference.gradient(RHEL())
    assert reference.compare(gradient)[1] < 1e-6
    assert gradient.loss == pytest.approx(reference.exact()[0], rel=1e-12)
    assert gradient.shots == 15


def test_the_order_of_the_sequences_does_not_matter() -> None:
    reference = sampled(lossy_rig(np.random.default_rng(6)), 3, Interpolation.CUBIC, (150, 60, 91))
    backwards = replace(reference, sequences=reference.sequences[::-1])
    assert agree(reference.gradient(RHEL(eps=1e-4)), backwards.gradient(RHEL(eps=1e-4))) < 1e-9


class Mixed:
    """A rig behind mixed wiring: ports push and channels see combinations of the oscillators, in scrambled order."""

    def __init__(self, inner: SimulatedRig, seed: int) -> None:
        random = np.random.default_rng(seed)
        declared, n = inner.capabilities, inner.model.size
        self._inner = inner
        self._drives, self._sees, self._fast = (np.eye(n) + 0.3 * random.normal(size=(n, n)) for _ in range(3))
        positions = [replace(declared.channel(f"q{i + 1}"), name=f"x{i}") for i in range(n)]
        velocities = [replace(declared.channel(f"v{i + 1}"), name=f"w{i}") for i in range(n)]
        channels = [item for pair in zip(velocities, positions, strict=True) for item in pair]
        ports = [Port(f"d{i}", Kind.FORCE) for i in range(n)]
        ports.insert(2, declared.ports[0])
        ports.insert(0, declared.ports[1])
        self.capabilities = replace(
            declared, ports=tuple(ports), channels=tuple(channels), drive_matrix=FrozenArray(self._drives),
            position_matrix=FrozenArray(self._sees), velocity_matrix=FrozenArray(self._fast),
        )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        plain = [replace(shot, passes=tuple(self._plain(item) for item in shot.passes)) for shot in shots]
        return [
            replace(capture, shot=shot, passes=tuple(self._seen(item) for item in capture.passes))
            for shot, capture in zip(shots, self._inner.run(plain), strict=True)
        ]

    def _plain(self, item: Any) -> Any:
        n = self._inner.model.size
        silence = FrozenArray(np.zeros(item.steps))
        forces = self._drives @ np.stack([item.achieved.get(f"d{i}", silence).values for i in range(n)])
        achieved = {name: wave for name, wave in item.achieved.items() if name.startswith("u")}
        achieved |= {f"f{i + 1}": FrozenArray(row) for i, row in enumerate(forces) if row.any()}
        names = tuple(channel.name for channel in self._inner.capabilities.channels)
        return replace(
            item, achieved=achieved, acquire=replace(item.acquire, channels=names if item.acquire.channels else ())
        )

    def _seen(self, item: PassCapture) -> PassCapture:
        if not item.traces:
            return item
        n, traces = self._inner.model.size, {}
        for plain, mixed, matrix in (("q", "x", self._sees), ("v", "w", self._fast)):
            rows = [item.traces[f"{plain}{i + 1}"] for i in range(n)]
            seen = np.einsum("ij,jrk->irk", matrix, np.stack([row.values for row in rows]))
            traces |= {f"{mixed}{i}": replace(rows[i], values=seen[i]) for i in range(n)}
        return replace(item, traces=traces)


@pytest.mark.parametrize("accumulates", [True, False])
def test_mixed_wiring_in_scrambled_order_gives_the_exact_gradient(accumulates: bool) -> None:  # noqa: FBT001
    plain = lossy_rig(np.random.default_rng(5))
    rig = Mixed(plain.rig, 17)
    if not accumulates:
        rig.capabilities = replace(rig.capabilities, accumulates=frozenset())
    mixed = replace(plain, task=replace(plain.task, capabilities=rig.capabilities, channels=("x3", "x0")))
    handler = Compiling(RigBackend(rig), rig.capabilities)
    names = (*mixed.model.parameters, "readout", "readout_offset")
    gradient = execute(RHEL().gradient(mixed.request(names)), handler)
    cosine, error = mixed.compare(gradient)
    assert error < 1e-6
    assert cosine > 1 - 1e-9
    assert gradient.loss == pytest.approx(mixed.exact()[0], rel=1e-12)


class Breaking:
    """Fails the n-th operation it is given."""

    def __init__(self, inner: Any, fails: int) -> None:
        self._inner, self._fails, self.log = inner, fails, []

    def do(self, operation: Operation) -> Any:
        self.log.append(type(operation).__name__)
        if len(self.log) == self._fails:
            raise TransportError("link lost")
        return self._inner.do(operation)


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_an_error_of_any_operation_ends_the_rule_with_that_error(lossless: ReferenceTask, fails: int) -> None:
    handler = Breaking(lossless.handler(), fails)
    protocol = RHEL(eps=1e-4).gradient(lossless.request(("coupling",)))
    with pytest.raises(TransportError, match="link lost"):
        execute(protocol, handler)
    assert len(handler.log) == fails
    with pytest.raises(StopIteration):
        next(protocol)


def test_the_rule_itself_is_the_same_function_every_time(lossless: ReferenceTask) -> None:
    one, two = (lossless.gradient(RHEL()) for _ in range(2))
    assert all(np.array_equal(value, two.values[name]) for name, value in one.values.items())


def test_parameters_are_taken_from_theta_and_not_from_what_the_rig_was_left_with() -> None:
    reference = reference_rig()
    expected = reference.gradient(RHEL(eps=1e-4))
    reference.rig.configure({"stiffness": np.full(6, 0.7), "cubic": np.zeros(6)})
    assert agree(reference.gradient(RHEL(eps=1e-4)), expected) == 0


def test_plus_and_minus_stand_next_to_each_other_in_the_batch(lossless: ReferenceTask) -> None:
    seen: list[RunShots] = []

    class Looking:
        def do(self, operation: Operation) -> Any:
            if isinstance(operation, RunShots):
                seen.append(operation)
            return lossless.handler().do(operation)

    batch = replace(lossless, sequences=lossless.sequences * 2)
    execute(RHEL(eps=1e-4).gradient(batch.request(("coupling",))), Looking())
    nudges = [
        next(drive for drive in program.passes[1].drives if drive.role == "nudge").waveform.samples.values
        for program in seen[1].programs
    ]
    assert np.array_equal(nudges[0], -nudges[1])
    assert np.array_equal(nudges[2], -nudges[3])


def test_the_gradient_carries_the_calibration_it_was_measured_with(lossless: ReferenceTask) -> None:
    from labrhel.rig.calibration import CalibratedValue, CalibrationSet

    known = CalibrationSet({"u1.gain": CalibratedValue(1.1, "", 0.01, "test")})
    capabilities = lossless.task.capabilities
    handler = Compiling(RigBackend(lossless.rig), capabilities, calibration=known)
    protocol = RHEL().gradient(lossless.request(("coupling",)))
    assert execute(protocol, handler).calibration == known.digest


def test_a_rig_that_cannot_read_its_state_still_gives_the_other_gradients(lossless: ReferenceTask) -> None:
    blind = lossless.declaring(reads_state=False)
    names = ("coupling", "mass", "input")
    assert agree(blind.gradient(RHEL(), names), lossless.gradient(RHEL(), names)) == 0
    with pytest.raises(ProgramError, match="cannot read its state"):
        blind.gradient(RHEL(), ("initial_position",))


@pytest.mark.parametrize("rate", [20.0, 100.0, 1000.0])
def test_an_input_port_faster_than_the_step_replays_what_it_played(rate: float) -> None:
    """Sample rates in Hz at 10 kicks a second; what is left is the linear reading between device samples."""
    reference = reference_rig()
    ports = tuple(
        replace(port, timing=Timing(rates=(rate,))) if port.kind is Kind.INPUT else port
        for port in reference.task.capabilities.ports
    )
    gradient = reference.declaring(ports=ports).gradient(RHEL())
    assert gradient.retrace_error < 3e-3
    assert gradient.warnings == ()


def test_how_well_the_fitted_model_meets_the_readings_is_measured_where_it_speaks_for_a_part_of_them() -> None:
    rig = small_rig(noise=1e-3, friction=np.diag([0.2, 0.0, 0.15]))
    partly = replace(rig, task=replace(rig.task, capabilities=showing(rig.task.capabilities, (0, 2))))
    rule = RHEL(eps=0.02, unread="smoothed")  # type: ignore[arg-type]
    asked = replace(partly.request(("stiffness",)), trained={"stiffness": np.array([True, False, True])})
    found = execute(rule.gradient(asked), partly.handler())
    assert 0.5 < found.measured["unread_misfit"] < 2.0
    assert "unread_misfit" not in rig.gradient(RHEL(eps=0.02), ("stiffness",)).measured
