"""What a model says of an echo before it is fired, and of a nudge that is not the one asked for."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import execute
from protocols.echoes.forecast import forecast_response, undistorted
from protocols.echoes.measurement import Measurement
from protocols.echoes.plan import Achieved, EchoReading
from protocols.rhel import RHEL
from protocols.twin import backwards
from simbackend.testing.small_rig import small_rig

NAMES = ("stiffness", "friction", "mass")


def measured(cubic: float, eps: float = 1e-5) -> Measurement:
    rig = small_rig(cubic=cubic)
    run = Measurement(RHEL(eps=eps), rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    return run


@pytest.mark.parametrize("cubic", [0.0, 0.3])
def test_the_forecast_of_a_known_rig_is_its_response_over_the_nudge(cubic: float) -> None:
    run = measured(cubic)
    (block,) = run.blocks
    forecast = forecast_response(run.plan, block.batch.passes)
    assert forecast == pytest.approx(block.response_ratio / block.eps, rel=1e-6)


def test_where_nothing_moves_the_forecast_is_a_number() -> None:
    run = measured(0.0)
    passes = [replace(item, q=0 * item.q, error=0 * item.error) for item in run.blocks[0].batch.passes]
    assert forecast_response(run.plan, passes) == 0.0


def test_what_a_nudge_had_beside_the_error_is_taken_off_its_gradient_and_three_tenths_of_it_may_be_left() -> None:
    run, random = measured(0.3), np.random.default_rng(1)
    passes, model, theta = run.blocks[0].batch.passes, run.plan.task.model, run.plan.theta
    beside = tuple(0.2 * random.normal(size=item.error.shape) for item in passes)  # in the order of the echo

    def gradient(errors: list[np.ndarray]) -> dict[str, np.ndarray]:
        pairs = zip(passes, errors, strict=True)
        found = [backwards(model, theta, replace(item, error=error), 0.1).gradients(NAMES) for item, error in pairs]
        return {name: found[0][name] + found[1][name] for name in NAMES}

    played = gradient([item.error + added[:, ::-1] for item, added in zip(passes, beside, strict=True)])
    reading = EchoReading(played, 7.0, (np.ones((3, 39)),))
    found, floor = undistorted(run.plan, passes, reading, Achieved(1.0, 0.2, beside))
    wanted = gradient([item.error for item in passes])
    for name in NAMES:
        assert np.allclose(found.terms[name], wanted[name], rtol=1e-9, atol=1e-12)
        assert np.allclose(floor[name], 0.3 * np.abs(played[name] - wanted[name]), rtol=1e-9, atol=1e-12)
        assert floor[name].any()
    assert found.response == 7.0 and found.miss is reading.miss
