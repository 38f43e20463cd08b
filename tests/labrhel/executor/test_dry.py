from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import Compiling, DryBackend, Limiting, RigBackend, execute
from labrhel.rig.capabilities import Limits, Reversal
from labrhel.shots.operations import Configure, Read, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, ShotProgram
from protocols.rhel import RHEL
from simbackend.rigs.reference import lossy_rig, reference_rig


def test_a_dry_run_answers_in_the_shapes_of_the_real_one() -> None:
    reference = reference_rig()
    acquire = Acquire(("q1", "v4"), 7, ("stiffness", "coupling", "input", "mass", "input_offset"), end_state=True)
    program = ShotProgram(0.1, Rest(), (Pass(100, acquire=acquire, keep=True), Pass(50, acquire=acquire, echo=True)), 3)
    capabilities = reference.rig.capabilities
    dry, real = (
        Compiling(backend, capabilities).do(RunShots((program, program)))
        for backend in (DryBackend(capabilities), RigBackend(reference.rig))
    )
    quiet = [item for capture in dry for item in capture.passes]
    assert not any(trace.values.any() for item in quiet for trace in item.traces.values())
    assert not any(value.any() for item in quiet for value in item.observables.values())
    assert not any(item.end_state.position.any() or item.end_state.momentum.any() for item in quiet if item.end_state)
    for silent, heard in zip(dry, real, strict=True):
        for quiet, loud in zip(silent.passes, heard.passes, strict=True):
            for name in acquire.channels:
                assert quiet.traces[name].values.shape == loud.traces[name].values.shape
                assert (quiet.traces[name].dt, quiet.traces[name].unit) == (
                    loud.traces[name].dt,
                    loud.traces[name].unit,
                )
            for name in acquire.observables:
                assert quiet.observables[name].shape == loud.observables[name].shape
            assert quiet.end_state.position.shape == loud.end_state.position.shape


def test_a_dry_run_counts_the_shots_and_passes_that_the_real_one_takes() -> None:
    reference = reference_rig()
    rule = RHEL(eps=1e-4)
    backend = DryBackend(reference.rig.capabilities)
    names = tuple(reference.model.parameters)
    protocol = rule.gradient(reference.request(names))
    execute(protocol, Compiling(backend, reference.rig.capabilities))
    real = reference.gradient(rule, names)
    assert (backend.cost.shots, backend.cost.passes) == (real.shots, real.passes)
    assert backend.cost.seconds == pytest.approx(3 * 1000 * 0.1)
    assert backend.cost.samples_read == 3 * 1000 * 12


def test_samples_count_as_often_as_they_are_played() -> None:
    reference = reference_rig()
    drives = reference.task.inputs(reference.sequences[0])
    first, echo = Pass(100, drives, keep=True), Pass(50, drives, Acquire(("q1",)), echo=True)
    program = ShotProgram(0.1, Rest(), (first, echo), 3)
    for reversal, played in ((Reversal.STATE_RESTORE, 3 * 50), (Reversal.MOMENTUM_FLIP, 3 * 150)):
        capabilities = replace(reference.rig.capabilities, reversals=frozenset({reversal}))
        backend = DryBackend(capabilities)
        Compiling(backend, capabilities).do(RunShots((program,)))
        assert backend.cost.samples_played == played


def test_a_dry_run_of_the_rule_with_automatic_eps_does_not_hit_the_limits_by_itself() -> None:
    reference = lossy_rig(np.random.default_rng(0))
    ports = tuple(replace(port, limits=Limits(-3.0, 3.0)) for port in reference.rig.capabilities.ports)
    limited = reference.declaring(ports=ports)
    capabilities = limited.task.capabilities
    rule = RHEL()
    handler = Compiling(Limiting(DryBackend(capabilities), capabilities), capabilities)
    gradient = execute(rule.gradient(limited.request(("stiffness",))), handler)
    assert gradient.response_ratio == 0.0  # nothing answered, and nothing was nudged harder for it


def test_knobs_are_reported_as_asked() -> None:
    capabilities = reference_rig().rig.capabilities
    assert DryBackend(capabilities).do(Configure({}, {"mass": np.full(6, 2.0)}))["mass"][0] == 2.0


@pytest.mark.parametrize(
    ("reversal", "kicks", "passes"), [(Reversal.STATE_RESTORE, 50, 1), (Reversal.MOMENTUM_FLIP, 150, 2)]
)
def test_a_dry_run_counts_ring_down_repeats_and_the_unit_of_time(reversal: Reversal, kicks: int, passes: int) -> None:
    capabilities = replace(
        reference_rig().rig.capabilities, reversals=frozenset({reversal}), ring_down_time=1.0, time_unit=1e-3
    )
    forward = Pass(100, acquire=Acquire(("q1",), 7), keep=True)
    read = ShotProgram(0.1, Rest(), (Pass(100, keep=True), Pass(50, acquire=Acquire(("q1", "q2"), 7), echo=True)), 3)
    backend = DryBackend(capabilities)
    handler = Compiling(backend, capabilities)
    handler.do(RunShots((read,)))
    assert backend.cost.seconds == pytest.approx(3 * (1.0 + kicks * 0.1 * 1e-3))
    assert (backend.cost.operations, backend.cost.shots, backend.cost.samples_read) == (1, 3, 3 * 2 * 8)
    assert backend.cost.passes == 3 * passes
    handler.do(RunShots((ShotProgram(0.2, Rest(), (forward,)),)))
    assert backend.cost.seconds == pytest.approx(3 * (1.0 + kicks * 0.1 * 1e-3) + 1.0 + 100 * 0.2 * 1e-3)
    assert (backend.cost.operations, backend.cost.shots, backend.cost.samples_read) == (2, 4, 3 * 2 * 8 + 15)


def test_a_dry_run_reads_nothing_slow_and_says_nothing() -> None:
    backend = DryBackend(reference_rig().rig.capabilities)
    assert backend.do(Read(("temperature",))) is None
    assert (backend.cost.operations, backend.cost.shots, backend.cost.seconds) == (1, 0, 0.0)
