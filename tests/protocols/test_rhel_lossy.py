"""The driven echo on rigs that lose energy, and what happens without it."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.executor import Compiling, RigBackend, execute
from labrhel.frozen import FrozenArray
from labrhel.learning.checking import compare
from labrhel.learning.estimator import Estimator
from labrhel.learning.gradient import Gradient
from labrhel.rig.capabilities import Converter, Kind, Timing
from protocols.echoes.options import Echo
from protocols.rhel import RHEL
from simbackend.rigs.reference import ReferenceTask, lossy_rig, reference_rig


def rig(seed: int = 7) -> ReferenceTask:
    return lossy_rig(np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("estimator", "response", "tolerance"), [("one_sided", 1e-6, 1e-3), ("four_point", 1e-4, 1e-7)]
)
def test_the_driven_echo_works_with_every_estimator(estimator: str, response: float, tolerance: float) -> None:
    reference = rig()
    gradient = reference.gradient(RHEL(Estimator(estimator), response=response))
    assert reference.compare(gradient)[1] < tolerance
    assert gradient.rule == f"rhel/{estimator}/driven"


def test_each_parameter_of_a_lossy_rig_has_its_exact_gradient() -> None:
    reference = rig()
    gradient, exact = reference.gradient(RHEL(response=1e-5)), reference.exact()[1]
    assert set(gradient.values) == set(exact)
    for name, value in exact.items():
        cosine, error = compare(np.ravel(gradient.values[name]), np.ravel(value))
        assert error < 1e-5, name
        assert cosine > 1 - 1e-10, name


def test_an_echo_with_no_nudge_but_with_compensation_retraces() -> None:
    # One-sided echoes include the un-nudged one, so the retrace error is that of compensation alone.
    assert rig().gradient(RHEL(Estimator.ONE_SIDED)).retrace_error < 1e-12


def test_a_plain_echo_on_a_lossy_rig_is_wrong_and_says_so() -> None:
    reference = rig()
    gradient = reference.gradient(RHEL(echo=Echo.PLAIN))
    assert reference.compare(gradient)[0] < 0.95
    assert gradient.rule.endswith("/plain")
    assert any("plain echo on a rig that loses" in words and "echo: driven" in words for words in gradient.warnings)
    assert any("misses the forward path" in words for words in gradient.warnings)


def with_friction(scale: float) -> ReferenceTask:
    reference = rig()
    theta = {**reference.theta, "friction": scale * np.asarray(reference.theta["friction"])}
    return replace(reference, theta=theta)


def test_friction_that_hardly_matters_gives_no_warning() -> None:
    gradient = with_friction(1e-4).gradient(RHEL(echo=Echo.PLAIN))
    assert not any("plain echo" in words for words in gradient.warnings)


def test_automatic_takes_the_driven_echo_exactly_on_rigs_that_lose_energy() -> None:
    assert with_friction(1e-4).gradient(RHEL(), ("mass",)).rule.endswith("/driven")
    assert with_friction(0.0).gradient(RHEL(), ("mass",)).rule.endswith("/plain")


def test_the_driven_echo_on_a_lossless_rig_is_the_plain_one() -> None:
    plain, driven = (reference_rig().gradient(RHEL(echo=echo, eps=1e-4)) for echo in (Echo.PLAIN, Echo.DRIVEN))
    assert all(np.array_equal(value, driven.values[name]) for name, value in plain.values.items())


def test_the_friction_gradient_of_a_rig_with_friction_zero_is_exact_too() -> None:
    reference = reference_rig()
    gradient, exact = reference.gradient(RHEL(), ("friction",)), reference.exact()[1]["friction"]
    assert compare(np.ravel(gradient.values["friction"]), np.ravel(exact))[1] < 1e-6


def positions_only(reference: ReferenceTask) -> ReferenceTask:
    channels = tuple(item for item in reference.task.capabilities.channels if item.kind is Kind.POSITION)
    return reference.declaring(
        channels=channels, velocity_matrix=FrozenArray(np.zeros((0, 6))), accumulates=frozenset(), reads_state=False
    )


WITHOUT_STATE = ("stiffness", "quadratic", "cubic", "coupling", "friction", "input", "input_offset")


def relative(gradient: Gradient, reference: ReferenceTask) -> float:
    exact = reference.exact()[1]
    return compare(
        *(np.concatenate([np.ravel(item[n]) for n in gradient.values]) for item in (gradient.values, exact))
    )[1]


def test_a_rig_that_shows_positions_only_loses_little() -> None:
    """The velocity at the first and last kick is known to order step^2 only, and the compensation with it."""
    references = [positions_only(rig(seed)) for seed in range(12)]
    gradients = [reference.gradient(RHEL(), WITHOUT_STATE) for reference in references]
    errors = [relative(*pair) for pair in zip(gradients, references, strict=True)]
    assert np.median(errors) < 3e-4
    assert max(errors) < 0.05  # some rigs amplify the retrace residual at the ends two hundredfold
    assert max(gradient.retrace_error for gradient in gradients) < 0.01


def test_a_lossless_rig_that_shows_positions_only_loses_nothing() -> None:
    reference = positions_only(reference_rig())
    assert relative(reference.gradient(RHEL(), tuple(n for n in WITHOUT_STATE if n != "friction")), reference) < 1e-6


def missing(reference: ReferenceTask, *oscillators: int) -> ReferenceTask:
    """The rig without the force ports of these oscillators, counted from one."""
    capabilities = reference.task.capabilities
    kept = [i for i in range(6) if i + 1 not in oscillators]
    gone = {f"f{i}" for i in oscillators}
    return reference.declaring(
        ports=tuple(port for port in capabilities.ports if port.name not in gone),
        drive_matrix=FrozenArray(capabilities.drive_matrix.values[:, kept]),
    )


def test_a_lossy_oscillator_without_a_port_is_refused_by_name() -> None:
    with pytest.raises(ProgramError, match="reaches oscillator 3, 6;"):
        missing(rig(), 3, 6).gradient(RHEL(), ("mass",))


def test_a_lossless_oscillator_needs_no_port_unless_it_is_read_out() -> None:
    reference = missing(reference_rig(), 1, 2, 3, 5, 6)
    assert reference.compare(reference.gradient(RHEL()))[1] < 1e-6
    with pytest.raises(ProgramError, match="reaches oscillator 4;"):
        missing(reference_rig(), 4).gradient(RHEL(), ("mass",))


def test_ports_declared_in_another_order_change_nothing() -> None:
    reference = rig()
    capabilities = reference.task.capabilities
    order = [4, 0, 5, 2, 1, 3]
    ports = [port for port in capabilities.ports if port.kind is Kind.INPUT][::-1]
    ports = (
        [capabilities.port(f"f{i + 1}") for i in order[:2]]
        + ports
        + [capabilities.port(f"f{i + 1}") for i in order[2:]]
    )
    positions, velocities = order[::-1], order[1:] + order[:1]
    channels = [capabilities.channel(f"v{i + 1}") for i in velocities] + [
        capabilities.channel(f"q{i + 1}") for i in positions
    ]
    scrambled = reference.declaring(
        ports=tuple(ports),
        channels=tuple(channels),
        drive_matrix=FrozenArray(np.eye(6)[:, order]),
        position_matrix=FrozenArray(np.eye(6)[positions]),
        velocity_matrix=FrozenArray(np.eye(6)[velocities]),
    )
    assert scrambled.compare(scrambled.gradient(RHEL()))[1] < 1e-6


def quantised(reference: ReferenceTask, bits: int) -> ReferenceTask:
    converter = Converter(bits, -2.0, 2.0)
    ports = tuple(
        replace(port, converter=converter) if port.kind is Kind.FORCE else port
        for port in reference.task.capabilities.ports
    )
    return reference.declaring(ports=ports)


def test_a_quantised_nudge_enters_with_its_achieved_size() -> None:
    """The steps of a coarse converter shrink a nudge of one or two codes; its projection on the error is known."""
    reference = reference_rig()
    asked, believed, used = 0.02, [], []
    for bits in (7, 8, 9):
        coarse = quantised(reference, bits)
        gradient = coarse.gradient(RHEL(eps=asked), ("coupling", "stiffness", "input"))
        exact = reference.exact()[1]
        flat = [np.concatenate([np.ravel(item[name]) for name in gradient.values]) for item in (gradient.values, exact)]
        used.append(compare(*flat)[1])
        believed.append(compare(flat[0] * gradient.eps / asked, flat[1])[1])
        assert gradient.eps != asked
    assert np.mean(used) < np.mean(believed)


def test_with_fine_converters_the_driven_echo_stays_good() -> None:
    reference = quantised(rig(), 20)
    wide = tuple(
        replace(port, converter=Converter(20, -20.0, 20.0)) if port.converter else port
        for port in reference.task.capabilities.ports
    )
    gradient = reference.declaring(ports=wide).gradient(RHEL(response=1e-2))
    assert reference.compare(gradient)[0] > 0.999


def test_nudge_and_compensation_from_fast_converters_arrive_at_their_kicks() -> None:
    """Ports sampled 100 times a step; half a step of lag would cost 40 % of this gradient."""
    reference = rig()
    ports = tuple(replace(port, timing=Timing(rates=(1000.0,))) for port in reference.task.capabilities.ports)
    fast = reference.declaring(ports=ports)
    gradient = fast.gradient(RHEL())
    assert fast.compare(gradient)[1] < 5e-3
    assert gradient.retrace_error < 1e-3


def test_what_a_converter_cannot_reach_is_refused_before_anything_moves() -> None:
    with pytest.raises(ProgramError, match="its converter reaches"):
        quantised(reference_rig(), 12).gradient(RHEL(eps=1e3), ("mass",))


def test_a_rig_whose_friction_is_not_what_the_host_believes_is_caught_by_the_retrace() -> None:
    reference = rig()
    true = np.asarray(reference.theta["friction"])
    protocol = RHEL().gradient(reference.request(("stiffness",)))

    class Wrong:
        """Sets the rig's own friction, whatever it is told."""

        def __init__(self) -> None:
            self.inner = Compiling(RigBackend(reference.rig), reference.rig.capabilities)

        def do(self, operation):
            from labrhel.shots.operations import Configure

            if isinstance(operation, Configure):
                self.inner.do(Configure({**operation.parameters, "friction": 1.5 * true}))
                return dict(operation.parameters)
            return self.inner.do(operation)

    gradient = execute(protocol, Wrong())
    assert gradient.retrace_error > 0.05
    assert any("misses the forward path" in words for words in gradient.warnings)
