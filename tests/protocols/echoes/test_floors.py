"""Error bars hold what repeats cannot show, and readings that clip or terms that bend are not silently wrong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from benchmarks.honesty import LINEAR_NAMES, Sizes, covered, undeclared_rig
from labrhel.executor import execute
from labrhel.rig.capabilities import Converter
from labrhel.shots.waveform import Waveform
from protocols.adjoint_only import AdjointOnly
from protocols.echoes.floors import _drawn, _Grid, _through_the_loss, of_inputs, of_rounding, steps_of
from protocols.echoes.measurement import Measurement
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardBatch, ForwardPass
from protocols.inference.record import low_pass
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL
from protocols.twin import backwards
from simbackend.imperfections.converters import ConverterErrors
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import small_rig

LINEAR = Sizes(cubic=(0.0, 0.0), steps=300)


def coded(bits: int = 8, reach: float = 8.0, **more: Any) -> ReferenceTask:
    return undeclared_rig(1, {"adc": ConverterErrors(bits, reach), **more}, LINEAR)


def test_repeats_of_the_same_codes_do_not_make_an_error_bar_of_zero() -> None:
    rig = coded()
    found, exact = rig.gradient(RHEL(repeats=4), LINEAR_NAMES), rig.exact()[1]
    for name in LINEAR_NAMES:
        assert (found.floor[name] > 0).all()
        assert (found.uncertainty[name] >= found.floor[name]).all()
        # A draw of rounding errors is as large as the real one, within what a few entries can tell.
        off = np.sqrt(np.mean((found.values[name] - exact[name]) ** 2))
        assert 0.2 * off < np.sqrt(np.mean(found.uncertainty[name] ** 2)) < 10 * off


def test_a_precision_below_the_floor_is_not_reached_by_repeats_and_said() -> None:
    found = coded().gradient(RHEL(precision=1e-5, most_repeats=4), LINEAR_NAMES)
    assert found.repeats == 4
    assert any("repeats reached a precision of" in words for words in found.warnings)


@pytest.mark.parametrize(("noise", "is_floor"), [(0.0, True), (0.3, True), (0.5, False), (0.6, False)])
def test_noise_of_half_a_step_dithers_a_converter_and_less_does_not(noise: float, *, is_floor: bool) -> None:
    lsb = 16.0 / 2**8
    assert bool(steps_of(coded(noise=noise * lsb).task.capabilities)) is is_floor


@pytest.mark.slow
@pytest.mark.parametrize("row", ["by drive", "8-bit ADC without dither", "12-bit DAC"])
def test_intervals_cover_the_exact_gradient(row: str) -> None:
    shares = [covered(seed, row)[0] for seed in range(4)]
    assert np.mean(shares) > 0.85  # the benchmark counts 200 rigs


# -- clipping ----------------------------------------------------------------------------------------------------------


def test_a_forward_pass_that_clips_is_said_with_the_channel_and_what_to_do() -> None:
    found = coded(reach=1.0).gradient(RHEL(response=0.05), LINEAR_NAMES)
    (words,) = [text for text in found.warnings if text.startswith("the forward pass goes beyond the range")]
    assert "samples" in words and "raise the range of the channel, or lower the input" in words


@pytest.mark.parametrize("rule", [AdjointOnly(response=30.0), RecordedCorrelation(response=30.0)])
def test_an_answer_that_clips_is_aimed_again_with_half_the_nudge(rule: Any) -> None:
    rig = coded(bits=16)
    found = rig.gradient(rule, LINEAR_NAMES)
    assert found.response_ratio is not None and found.response_ratio < 0.6 * rule.response
    assert found.shots > 3
    mild = rig.gradient(replace(rule, response=0.5), LINEAR_NAMES)
    assert not mild.warnings and rig.compare(mild)[1] < 0.02
    assert 0.5 / 3 < (mild.response_ratio or 0.0) < 0.5 * 3


# -- terms that bend ---------------------------------------------------------------------------------------------------


def test_anharmonic_terms_of_a_linear_rig_are_right_at_a_strong_nudge() -> None:
    rig = undeclared_rig(0, {}, LINEAR).declaring(accumulates=frozenset())
    found, exact = rig.gradient(RHEL(response=0.3), ("cubic", "quartic", "quadratic", "stiffness")), rig.exact()[1]
    assert (found.response_ratio or 0) > 0.1
    for name, value in found.values.items():
        assert np.linalg.norm(value - exact[name]) < 1e-5 * np.linalg.norm(exact[name]), name


# -- what rounding does to a gradient, in closed form ------------------------------------------------------------------

NAMES = ("stiffness", "friction", "readout", "readout_offset")
LSB = 0.01


def rounded(lsb: float = LSB, cubic: float = 0.3) -> tuple[ReferenceTask, EchoPlan, Measurement]:
    """The small rig, three of whose channels have converters: q1, which is read out, q2 and v2; the rest is exact."""
    rig = small_rig(cubic=cubic)
    channels = tuple(
        replace(item, converter=Converter(8, -127.5 * lsb, 127.5 * lsb)) if item.name in ("q1", "q2", "v2") else item
        for item in rig.task.capabilities.channels
    )
    run = Measurement(RHEL(eps=0.05, repeats=2), rig.request(NAMES))
    handler = rig.handler()
    execute(run.first_block(), handler)
    execute(run.another_block(), handler)
    coded = rig.declaring(channels=channels)
    return coded, RHEL(eps=0.05).plan(coded.task, coded.theta, NAMES), run


def test_a_grid_that_lies_elsewhere_rounds_the_smoothed_readings_to_its_steps() -> None:
    values = np.random.default_rng(0).normal(size=(2, 60)).cumsum(axis=1)
    grid = _Grid({"q1": (0.5, 0.2)}, 3.0)
    error = grid.error("q1", values)
    smooth = gaussian_filter1d(values, 3.0, mode="nearest") + 0.2
    assert np.abs(error).max() <= 0.25 + 1e-12 and np.abs(error).max() > 0.2
    assert np.allclose((smooth + error) / 0.5, np.round((smooth + error) / 0.5), atol=1e-9)
    assert not grid.error("q2", values).any()
    assert np.allclose(grid.error("q1", np.full((1, 9), 0.4)), -0.1)  # at 0.6, next to 0.5


def test_a_draw_is_on_the_readings_of_the_last_pass_alone() -> None:
    _, _, run = rounded()
    capture, grid = run.blocks[0].captures[0], _Grid({"q1": (LSB, 0.3 * LSB)}, 2.0)
    longer = replace(capture, passes=(*capture.passes, *capture.passes))
    drawn = _drawn(longer, grid)
    assert drawn.passes[:-1] == longer.passes[:-1]
    for name, trace in capture.last.traces.items():
        off = drawn.last.traces[name].values - trace.values
        assert np.allclose(off, grid.error(name, trace.values), atol=1e-15) and off.any() == (name == "q1")


def test_what_a_rounded_record_does_to_the_error_is_what_the_model_makes_of_that_error() -> None:
    rig, plan, run = rounded()
    block, grid, theta = run.blocks[0], _Grid({"q1": (0.1, 0.03), "q2": (0.1, 0.04)}, 2.0), rig.theta
    effects = _through_the_loss(plan, rig.sequences, block.batch, grid, NAMES[:2])
    found = {name: np.zeros_like(value) for name, value in effects.items()}
    gain, offset, loss = theta["readout"], theta["readout_offset"], rig.task.loss(rig.sequences)
    for item, sequence, (rho, x) in zip(block.batch.passes, rig.sequences, block.batch.slopes, strict=True):
        # The read-out is of q3 and q1, at every second kick; of these q1 has a converter.
        read = x + np.stack([np.zeros(39), grid.error("q1", item.q[0])])[:, ::2]
        there = loss.slope(gain @ read + offset[:, None], sequence.target, sequence.weight)
        found["readout"] += there @ read.T - rho @ x.T
        found["readout_offset"] += (there - rho).sum(axis=1)
        error = np.zeros((3, 39))
        error[[2, 0], ::2] = gain.T @ there
        ends = [gradients(rig, replace(item, error=part)) for part in (error, item.error)]
        for name in NAMES[:2]:
            found[name] += ends[0][name] - ends[1][name]
    assert set(effects) == set(NAMES)
    for name in NAMES:
        assert np.allclose(effects[name], found[name], rtol=1e-9, atol=1e-12), name


def gradients(rig: ReferenceTask, item: ForwardPass) -> dict[str, np.ndarray]:
    return backwards(rig.model, rig.theta, item, 0.1).gradients(NAMES[:2])


def test_a_floor_is_of_the_echoes_and_of_the_record_of_all_blocks_in_each_of_sixteen_draws() -> None:
    rig, plan, run = rounded()
    random, width = np.random.default_rng(0), low_pass(rig.model, rig.theta, 0.1)[0]
    squares: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    base = [plan.read(block.batch.passes, block.captures, block.eps).terms for block in run.blocks]
    for _ in range(16):
        steps = {name: (LSB, LSB * random.uniform(-0.5, 0.5)) for name in ("q1", "q2", "v2")}
        grid = _Grid(steps, width)
        off = _through_the_loss(plan, rig.sequences, run.blocks[0].batch, grid, NAMES[:2])
        for block, before in zip(run.blocks, base, strict=True):
            moved = [replace(item, v=item.v + np.stack([grid.error(name, row) for name, row in
                     zip(("v1", "v2", "v3"), item.v, strict=True)])) for item in block.batch.passes]  # fmt: skip
            read = plan.read(moved, [_drawn(capture, grid) for capture in block.captures], block.eps).terms
            off |= {name: off[name] + (read[name] - before[name]) / 2 for name in NAMES[:2]}
        for name in NAMES:
            squares[name].append(off[name] ** 2)
    found = of_rounding(plan, rig.sequences, run.blocks)
    assert set(found) == set(NAMES)
    for name in NAMES:
        assert np.allclose(found[name], np.sqrt(np.mean(squares[name], axis=0)), rtol=1e-9), name


def test_where_nothing_rounds_there_is_no_floor() -> None:
    rig, _, run = rounded()
    assert of_rounding(run.plan, rig.sequences, run.blocks) == {}


def test_inputs_that_were_not_played_as_wanted_cost_the_gradient_on_the_path_that_they_would_have_made() -> None:
    """Of a linear rig, which the model follows exactly: wanted are the sequences with half as much input again."""
    rig, plan, run = rounded(cubic=0.0)
    batch = run.blocks[0].batch
    stronger = tuple(
        replace(
            item, inputs={name: Waveform.of(1.5 * wave.on_grid(0.1, 39), 0.1) for name, wave in item.inputs.items()}
        )
        for item in rig.sequences
    )
    there = Measurement(RHEL(eps=0.05), small_rig(cubic=0.0).request(NAMES, sequences=stronger))
    execute(there.first_block(), small_rig(cubic=0.0).handler())
    found = of_inputs(plan, stronger, batch)

    def whole(made: ForwardBatch) -> dict[str, np.ndarray]:
        parts = [gradients(rig, item) for item in made.passes]
        return {name: parts[0][name] + parts[1][name] for name in NAMES[:2]} | dict(made.direct)

    wanted, played = whole(there.blocks[0].batch), whole(batch)
    assert set(found) == set(NAMES)
    for name in NAMES:
        change = wanted[name] - played[name]
        assert np.allclose(found[name], change, rtol=0.02, atol=0.01 * np.abs(change).max()), name
