"""Made data: random-phase multisines, and what the model answers with the teacher's parameters.

    u(t) = a sum_i sqrt(2/tones) cos(2 pi f_i t + phi_i),       rms a, f_i equally spaced over the band

The teacher is an ideal simulated rig, run through the executor like any other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labrhel import plugins
from labrhel.arrays import Array
from labrhel.config import Document
from labrhel.config.data import DataSection, Multisine, Teacher
from labrhel.data.dataset import Dataset, sequence_of
from labrhel.errors import InstrumentError
from labrhel.executor import RigBackend, execute, stack
from labrhel.experiment._sizes import MOST_KEPT, Factor, require_moderate, require_moderate_motion
from labrhel.experiment.model import model_of, readout_channels, readout_of
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.train import free_run
from labrhel.shots.waveform import Interpolation

_NOISE = 1  # sets the stream of the noise apart from that of the phases


def multisine(section: Multisine, ports: int, samples: int, spacing: float, sequence: int) -> Array:
    """Inputs (ports, samples) [input unit] of sequence number `sequence`; the seed is (section.seed, sequence)."""
    generator = np.random.default_rng([section.seed, sequence])
    phases = generator.uniform(0, 2 * np.pi, (ports, section.tones, 1))
    tones = np.linspace(section.band[0], section.band[1], section.tones)[:, None]
    waves = np.cos(2 * np.pi * tones * spacing * np.arange(samples) + phases)
    return section.amplitude * np.sqrt(2 / section.tones) * waves.sum(axis=1)


def taught(document: Document, section: DataSection, teacher: Teacher) -> Dataset:
    """Training and test sequences of a teacher, read out with the nominal gain and offset.

    Only training targets get noise: a test measures against the truth.  Raises ConfigurationError for parameters
    that the model does not have and for a step at which the teacher would be unstable.
    """
    require_moderate_teaching(document, section, teacher)
    model = model_of(document, teacher.parameters, "data", "teacher", "parameters")
    gain, offset, _ = readout_of(document)
    with document.at("model", "inputs"):
        rig = plugins.open_rig("sim:", model, Path())
    channels = readout_channels(document, rig.capabilities)
    task = Task(model, rig.capabilities, teacher.spacing / section.substeps, section.substeps, channels, 1.0)
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    with document.at("data", "teacher", "spacing"):
        task.check_step(theta)
    band_limit = 0.5 / teacher.spacing
    if teacher.input.band[1] >= band_limit:
        raise document.source.error(
            f"the band reaches {teacher.input.band[1]:g}, the samples carry frequencies below {band_limit:g} "
            "(1/(2 spacing)); lower the band or the spacing",
            "data", "teacher", "input", "band",
        )  # fmt: skip

    def sequence(name: str, number: int, noise: float) -> TrialSequence:
        u = multisine(teacher.input, len(model.inputs), teacher.samples, teacher.spacing, number)
        silent = np.zeros((len(gain), teacher.samples))
        interpolation = Interpolation(section.interpolation)
        asked = sequence_of(name, model.inputs, u, silent, teacher.spacing, interpolation, section.skip)
        full = {**theta, "readout": gain, "readout_offset": offset}
        (target,) = execute(free_run(task, [asked], full), stack(RigBackend(rig, quiet=True), rig.capabilities))
        generator = np.random.default_rng([teacher.input.seed, number, _NOISE])
        target = target + noise * generator.standard_normal(target.shape)
        return sequence_of(name, model.inputs, u, target, teacher.spacing, interpolation, section.skip)

    try:
        with document.at("data", "skip"):
            train = tuple(sequence(f"train[{i}]", i, teacher.noise) for i in range(teacher.sequences))
            tests = tuple(sequence(f"test[{i}]", teacher.sequences + i, 0.0) for i in range(teacher.test_sequences))
    except InstrumentError:
        words = "the teacher diverges: lower the amplitude or the anharmonic terms, or raise data.substeps"
        raise document.source.error(words, "data", "teacher") from None
    finally:
        rig.close()
    return Dataset(train, {"test": tests} if tests else {}, teacher.spacing)


def require_moderate_teaching(document: Document, section: DataSection, teacher: Teacher) -> None:
    """What a teacher would make is looked at before it is made; raises ConfigurationError."""
    place, readout = ("data", "teacher"), document.config.model.readout
    samples = Factor(teacher.samples, "samples", (*place, "samples"))
    ports = Factor(len(document.config.model.inputs), "inputs", ("model", "inputs"))
    outputs = Factor(ports.count + len(readout.channels if readout else ()), "inputs and outputs", ("model", "inputs"))
    tones = Factor(teacher.input.tones, "tones", (*place, "input", "tones"))
    for key, count in (("sequences", teacher.sequences), ("test_sequences", teacher.test_sequences)):
        sequences = Factor(count, key.replace("_", " "), (*place, key))
        require_moderate(document, "a set of sequences", MOST_KEPT, [sequences, samples, outputs])
    require_moderate(document, "one input", MOST_KEPT, [tones, samples, ports])
    require_moderate_motion(document, section, teacher.samples, samples.place)
