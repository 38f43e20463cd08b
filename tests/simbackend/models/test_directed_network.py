"""Directed couplings in the model: which links there are, what they do, and the transposed motion."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.model.leapfrog import leapfrog
from labrhel.model.motion import antisymmetry_along, hessian_along, is_directed, respond, respond_transposed, run
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.dynamics.separable_adjoint import exact_gradient as separable_gradient
from simbackend.imperfections import Imperfections, Mismatch, NonReciprocity
from simbackend.models.check import check_model, failures
from simbackend.models.oscillator_network import OscillatorNetwork, links_of
from simbackend.models.saturating_network import SaturatingNetwork
from simbackend.rigs.directed import DirectedRig, directed_rig
from simbackend.rigs.simulated import SimulatedRig

RANDOM = np.random.default_rng(3)
LINKS = [[0, 1], [2, 0], [1, 2]]
NOMINAL = {"cubic": 0.2, "coupling": [0.2, 0.3], "directed": [0.3, -0.2, 0.1], "mass": [1.0, 0.8, 1.3], "friction": 0.1}


def model(kind: type[OscillatorNetwork] = OscillatorNetwork, **more: Any) -> OscillatorNetwork:
    return kind(3, coupling={"springs": "chain", "directed": LINKS}, nominal={**NOMINAL, **more})


def spinning(kind: type[OscillatorNetwork] = OscillatorNetwork, **more: Any) -> OscillatorNetwork:
    """Springs, and two pairs that are gyroscopic."""
    nominal = {name: value for name, value in NOMINAL.items() if name != "directed"}
    return kind(
        3, coupling={"springs": "chain", "gyroscopic": "chain"}, nominal={**nominal, "gyroscopic": [0.2, -0.1], **more}
    )


def test_a_link_is_felt_by_its_first_oscillator_alone() -> None:
    bare = OscillatorNetwork(3, coupling={"directed": [[0, 1]]}, nominal={"stiffness": 0.0, "directed": 0.5})
    assert np.array_equal(bare.force(np.array([1.0, 2.0, 3.0]), {}), [-1.0, 0.0, 0.0])
    assert np.array_equal(bare.force(np.array([[1.0], [2.0], [3.0]]), {}), [[-1.0], [0.0], [0.0]])


def test_a_word_stands_for_both_ways_of_each_pair() -> None:
    assert links_of("chain", 3).tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert len(links_of("all", 6)) == 30
    assert links_of([], 3).shape == (0, 2)


@pytest.mark.parametrize(
    ("links", "words"),
    [([[0, 0]], "two different oscillators"), ([[0, 3]], "of 0..2, not"), ([[0, 1], [0, 1]], "named twice")],
)
def test_links_that_cannot_be_are_refused(links: list[list[int]], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        links_of(links, 3)
    assert len(links_of([[0, 1], [1, 0]], 3)) == 2  # there and back are two


def test_a_network_without_links_has_no_such_parameter_and_is_reciprocal() -> None:
    plain = OscillatorNetwork(3, coupling="chain")
    assert "directed" not in plain.parameters
    assert not is_directed(plain, {})
    assert not is_directed(model(), {"directed": np.zeros(3)})
    assert is_directed(model(), {})
    both = OscillatorNetwork(2, coupling={"directed": [[0, 1], [1, 0]]}, nominal={"directed": 0.2})
    assert not is_directed(both, {})  # as strong there as back


@pytest.mark.parametrize("kind", [OscillatorNetwork, SaturatingNetwork])
def test_a_directed_network_keeps_the_contract_of_models(kind: type[OscillatorNetwork]) -> None:
    assert not failures(check_model(model(kind), np.random.default_rng(0)))
    assert not failures(check_model(spinning(kind), np.random.default_rng(0)))


def test_a_gyroscopic_force_turns_the_motion_and_does_no_work() -> None:
    bare = OscillatorNetwork(3, coupling={"gyroscopic": [[0, 2]]}, nominal={"gyroscopic": 0.5})
    assert np.array_equal(bare.friction({}), [[0, 0, 0.5], [0, 0, 0], [-0.5, 0, 0]])
    ran = run(bare, {}, np.zeros((3, 400)), 0.05, np.array([[1.0, 0.2, 0.0]]), np.zeros((1, 3)))
    energy = (np.sum(ran.end_position**2) + np.sum(ran.end_momentum**2)) / 2
    assert energy == pytest.approx((1 + 0.2**2) / 2, rel=1e-3)
    assert np.abs(ran.q[0, 2]).max() > 0.2
    assert is_directed(bare, {})
    assert not is_directed(bare, {"gyroscopic": np.zeros(1)})


def test_a_model_that_says_it_is_directed_and_is_not_is_found() -> None:
    class Braggart(OscillatorNetwork):
        def is_directed(self, theta: object) -> bool:
            return True

    both = {"directed": [[0, 1], [1, 0]]}
    found = failures(check_model(Braggart(3, coupling=both, nominal={"directed": 0.2}), np.random.default_rng(0)))
    assert any("says it is directed" in words for words in found)


@pytest.mark.parametrize("made", [model, spinning])
def test_kernels_and_readable_code_agree(made: Callable[..., OscillatorNetwork]) -> None:
    network, steps = made(), 50
    forces, q, p = RANDOM.normal(size=(3, steps)), RANDOM.normal(size=3), RANDOM.normal(size=3)
    fast = run(network, {}, forces, 0.1, q[None], p[None])
    slow = leapfrog(lambda x: network.force(x, {}), network.mass({}), network.friction({}), forces, 0.1, q, p)
    assert np.abs(fast.q[0] - slow.q).max() < 1e-13
    path = slow.q
    known = network.hessian_along({}, path)
    assert known is not None
    assert np.abs(known - hessian_along(network, {}, path)).max() < 1e-13
    plain = made(SaturatingNetwork, saturation=0.0)  # which no kernel runs
    for answer in (respond, respond_transposed):
        ends = [answer(each, {}, path, forces, 0.1) for each in (network, plain)]
        assert np.abs(ends[0].q - ends[1].q).max() < 1e-12
        assert np.abs(ends[0].end_momentum - ends[1].end_momentum).max() < 1e-12


@pytest.mark.parametrize("made", [model, spinning])
def test_the_transposed_motion_is_the_transpose_of_the_motion(made: Callable[..., OscillatorNetwork]) -> None:
    network, path = made(), RANDOM.normal(size=(3, 40))
    there, back = RANDOM.normal(size=(2, 3, 40))
    forward = np.sum(back * respond(network, {}, path, there, 0.1).q)
    backward = np.sum(there[:, ::-1] * respond_transposed(network, {}, path[:, ::-1], back[:, ::-1], 0.1).q)
    assert backward == pytest.approx(forward, rel=1e-12)
    assert np.sum(there[:, ::-1] * respond(network, {}, path[:, ::-1], back[:, ::-1], 0.1).q) != pytest.approx(
        forward, rel=1e-3
    )


def test_twice_the_antisymmetric_part_is_what_the_links_differ_by() -> None:
    twice = antisymmetry_along(model(), {}, RANDOM.normal(size=(3, 4)))
    assert np.allclose(twice, [[0, 0.3, 0.2], [-0.3, 0, 0.1], [-0.2, -0.1, 0]])


@pytest.mark.parametrize("exact", [exact_gradient, separable_gradient])
def test_the_exact_gradient_is_that_of_central_differences(exact: object) -> None:
    rig = directed_rig(1, 0.3, 5.0, gyroscopic=0.5)
    reference, tiny = rig.reference, 1e-6
    gradient = exact(reference.task, reference.sequences, rig.truth)[1]  # type: ignore[operator]
    for name in ("directed", "gyroscopic", "mass", "coupling", "friction", "initial_position"):
        direction = np.random.default_rng(0).normal(size=rig.truth[name].shape)
        direction = direction + direction.T if name == "friction" else direction
        ends = [
            exact_gradient(reference.task, reference.sequences, {**rig.truth, name: rig.truth[name] + s * direction})[0]
            for s in (tiny, -tiny)
        ]
        assert np.sum(gradient[name] * direction) == pytest.approx((ends[0] - ends[1]) / (2 * tiny), rel=1e-6)


def test_imperfections_act_on_a_directed_rig_as_on_any_other() -> None:
    network = model()
    rig = SimulatedRig(network, imperfections=Imperfections(seed=2, mismatch=Mismatch(0.1)))
    assert np.std(rig.true_parameters()["directed"] / NOMINAL["directed"]) > 0.01
    assert "directed" in {knob.name for knob in rig.capabilities.knobs}
    assert "directed" not in rig.capabilities.accumulates
    weak = Imperfections(seed=2, reciprocity=NonReciprocity(0.3))
    moved = [_motion(directed_rig(0, 0.2, 5.0, imperfections=each)) for each in (Imperfections(), weak)]
    assert 1e-3 < np.linalg.norm(moved[0] - moved[1]) / np.linalg.norm(moved[0]) < 1


def _motion(rig: DirectedRig) -> np.ndarray:
    from labrhel.executor import execute
    from protocols.forward.forward import run_forward

    request = rig.reference.request(("stiffness",))
    return execute(run_forward(request), rig.reference.handler()).batch.passes[0].q


def test_a_step_that_suits_the_springs_is_found_with_directed_couplings() -> None:
    network = model()
    limit = network.largest_step({})
    still = np.zeros((3, 1000))
    q = leapfrog(lambda x: network.force(x, {"cubic": np.zeros(3)}), network.mass({}), network.friction({}), still,
                 0.95 * limit, np.ones(3), np.zeros(3)).q  # fmt: skip
    assert np.abs(q[:, -1]).max() < 1
