"""What a retrace residual costs: the difference of two gradients by the model, along the echo and along its ideal."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.estimator import Estimator
from labrhel.model.motion import run
from labrhel.rig.capabilities import Kind
from labrhel.shots.operations import Protocol, RunShots
from protocols.echoes.bias import bias_of_miss, bias_of_retrace, bound_of_bias
from protocols.echoes.blocks import Block
from protocols.echoes.plan import EchoPlan, EchoReading
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.forward.geometry import Geometry
from protocols.inference.inverse_dynamics import InverseDynamics
from protocols.rhel import RHEL
from protocols.twin import backwards
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import FRICTION, small_rig

NAMES = ("stiffness", "cubic", "friction", "input")


def forward(rig: ReferenceTask) -> ForwardBatch:
    def protocol() -> Protocol[ForwardBatch]:
        geometry = Geometry(rig.task.capabilities)
        programs = tuple(rig.task.forward(item, rig.theta, geometry.channels, keep=True) for item in rig.sequences)
        captures = yield RunShots(programs)
        return read_forward(rig.task, geometry, rig.sequences, captures, rig.theta)

    return execute(protocol(), rig.handler())


def misses() -> list[np.ndarray]:
    random = np.random.default_rng(4)
    return [0.05 * random.normal(size=(3, 39)) for _ in range(2)]


def test_an_echo_that_missed_nothing_has_no_bias() -> None:
    rig = small_rig()
    found = bias_of_miss(rig.model, rig.theta, forward(rig).passes, [np.zeros((3, 39))] * 2, 0.1, NAMES)
    assert list(found) == list(NAMES)
    assert not any(term.any() for term in found.values())


def test_the_bias_is_summed_over_the_sequences_and_of_each_the_difference_of_two_gradients() -> None:
    rig, batch, missed = small_rig(), forward(small_rig()), misses()
    found = bias_of_miss(rig.model, rig.theta, batch.passes, missed, 0.1, NAMES)
    expected = {name: np.zeros_like(found[name]) for name in NAMES}
    for item, miss in zip(batch.passes, missed, strict=True):
        # The miss is told in the order of the echo, the path in that of the forward pass.
        there = backwards(rig.model, rig.theta, replace(item, q=item.q + np.flip(miss, axis=1)), 0.1)
        here = backwards(rig.model, rig.theta, item, 0.1)
        for name in ("stiffness", "cubic", "input"):
            expected[name] += there.gradients([name])[name] - here.gradients([name])[name]
        slope = -0.1 * (there.response - here.response) @ item.v.T
        expected["friction"] += (slope + slope.T) / 2
    for name in NAMES:
        assert np.allclose(found[name], expected[name], rtol=1e-12) and found[name].any()


def test_the_bias_of_a_small_miss_is_how_much_the_gradient_of_such_an_echo_is_off() -> None:
    """Of a linear rig the response does not depend on the path, so the sum along both is all there is."""
    rig = small_rig(cubic=0.0)
    batch, missed = forward(rig), misses()
    found = bias_of_miss(rig.model, rig.theta, batch.passes, missed, 0.1, ("stiffness", "friction"))
    off = np.zeros(3)
    for item, miss in zip(batch.passes, missed, strict=True):
        # dL/dk = -d sum D[q] q, with D[q] the response to the error on the echo, from rest.
        still = np.zeros((1, 3))
        response = run(rig.model, rig.theta, item.error[:, ::-1] / 0.1 + _pull(rig), 0.1, still, still).q[0]
        off -= 0.1 * np.sum(response * miss, axis=1)
    assert np.allclose(found["stiffness"], off, rtol=1e-9)
    assert np.allclose(found["friction"], 0.0, atol=1e-12)


def _pull(rig: ReferenceTask) -> np.ndarray:
    """Nothing pulls where the input has no offset; the response starts from rest."""
    return rig.model.input_force(np.zeros((1, 1)), rig.theta)


def partial(**options: Any) -> tuple[ReferenceTask, Any]:
    """A rig whose second oscillator, which loses energy, has no port."""
    rig = small_rig()
    keep = [name for name in rig.task.capabilities.ports_of(Kind.FORCE) if name != "f2"]
    ports = tuple(port for port in rig.task.capabilities.ports if port.kind is not Kind.FORCE or port.name in keep)
    drives = FrozenArray(rig.task.capabilities.drive_matrix.values[:, [0, 2]])
    blind = rig.declaring(ports=ports, drive_matrix=drives)
    return blind, execute(RHEL(partial=True, **options).gradient(blind.request(NAMES)), blind.handler())


def test_the_bias_of_friction_that_nothing_gives_back_is_predicted_told_and_bounds_the_error() -> None:
    rig, gradient = partial()
    exact = rig.exact()[1]
    bound = gradient.bias_bound
    assert bound is not None and FRICTION[1, 1] > 0
    norms = [np.sqrt(sum(float(np.sum(np.square(part[name]))) for name in NAMES)) for part in (bound, gradient.values)]
    assert gradient.measured["predicted_bias"] == pytest.approx(norms[0] / norms[1])
    off = np.sqrt(sum(float(np.sum((gradient.values[name] - exact[name]) ** 2)) for name in NAMES))
    assert off > 0.01 * norms[1]
    assert 0.5 * norms[0] < off < 2 * norms[0]
    assert any("lossy oscillators without a drive port bias this gradient" in word for word in gradient.warnings)


# -- of the blocks of a gradient ---------------------------------------------------------------------------------------


def blocks(noise: float, *misses: list[np.ndarray], **options: Any) -> tuple[EchoPlan, list[Block]]:
    """So many blocks of one forward pass that missed it by so much, order of the echo."""
    rig = small_rig(noise)
    plan, batch = RHEL(**options).plan(rig.task, rig.theta, NAMES), forward(rig)
    terms = {name: np.zeros(1) for name in NAMES}
    return plan, [Block(batch, (), EchoReading(terms, 1.0, tuple(miss)), 1e-3) for miss in misses]


def test_the_mean_of_what_the_blocks_missed_counts_where_readings_are_exact() -> None:
    first, second = misses(), [3 * item for item in misses()]
    plan, made = blocks(0.0, first, second)
    expected = bias_of_miss(plan.task.model, plan.theta, made[0].batch.passes, [2 * item for item in first], 0.1, NAMES)
    found = bias_of_retrace(plan, made)
    assert list(found) == list(NAMES)
    assert all(np.allclose(found[name], expected[name], rtol=1e-9) for name in NAMES)


@pytest.mark.parametrize("count", [1, 4])
def test_of_noisy_readings_the_likeliest_miss_counts_with_the_noise_of_a_mean_of_echoes(count: int) -> None:
    noise, time = 0.02, np.linspace(0, 3, 39)
    wave = 0.2 * np.stack([np.sin(time), 1 - np.cos(time), time / 3])
    random = np.random.default_rng(6)
    rows = [[wave + np.sqrt(2) * noise * random.normal(size=(3, 39)) for _ in range(2)] for _ in range(count)]
    plan, made = blocks(noise, *rows)
    passes, inverse = made[0].batch.passes, InverseDynamics(plan.task.model, plan.theta, 0.1)
    # Record and echo are both noisy; the blocks are averaged.
    sigma = np.full(3, noise * np.sqrt(2 / count))
    means = [np.mean([row[place] for row in rows], axis=0) for place in range(2)]
    likely = [inverse.smooth(mean, np.flip(item.q, axis=1), sigma) for mean, item in zip(means, passes, strict=True)]
    expected = bias_of_miss(plan.task.model, plan.theta, passes, likely, 0.1, NAMES)
    found = bias_of_retrace(plan, made)
    assert all(np.allclose(found[name], expected[name], rtol=1e-9) for name in NAMES)
    # Which is not what the readings alone say, nor far from what was missed.
    assert all(np.std(part - wave) < np.std(mean - wave) for part, mean in zip(likely, means, strict=True))


@pytest.mark.parametrize(("estimator", "share"), [("one_sided", 1.0), ("symmetric", 3.0), ("four_point", 15.0)])
def test_a_bound_is_the_bias_of_the_miss_and_that_of_the_nudge_by_the_order_of_the_estimator(
    estimator: str, share: float
) -> None:
    plan, (block,) = blocks(0.0, misses(), estimator=Estimator(estimator))
    of_miss = {name: np.abs(term) for name, term in bias_of_retrace(plan, [block]).items()}
    alone = bound_of_bias(plan, [block], None)
    assert all(np.array_equal(alone[name], of_miss[name]) for name in NAMES)
    moved = {name: np.full(of_miss[name].shape, sign * 6.0) for name, sign in zip(NAMES, (1, -1, 1, -1), strict=True)}
    before = {name: 0.5 * term for name, term in moved.items()}
    weak, strong = (replace(block, reading=replace(block.reading, terms=terms)) for terms in (before, moved))
    both = bound_of_bias(plan, [weak], strong)
    assert all(np.allclose(both[name], of_miss[name] + 3.0 / share) for name in NAMES)
