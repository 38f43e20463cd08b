"""The record of a stack's training: several seeds in one run folder, one step an epoch, the seeds one after the other.

Published per epoch: mean training loss, the score on the validation set, and the worst response ratio, retrace error
and growth of all units at the last gradient; at the end of each seed the score on the test set, by the name that its
objective has.  A checkpoint after every epoch makes a resumed run the same, bit for bit.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labrhel.arrays import Array
from labrhel.config.stack import EngineName
from labrhel.errors import InterlockError
from labrhel.experiment.runners import Watch
from labrhel.session.outcome import said_once
from labrhel.shots.operations import Checkpoint, Publish
from labrhel.store import RunReader, RunWriter, consolidate, create_run
from labrhel.store.policy import Policy
from labrhel.store.provenance import provenance
from simbackend.recurrent.stacks.experiment import StackExperiment
from simbackend.recurrent.stacks.layer import GradientWarning, Unit
from simbackend.recurrent.stacks.training import Training


def start(experiment: StackExperiment, root: Path, watch: Watch, identity: str | None = None) -> list[str]:
    """Train all seeds into a new run folder under `root`, named `identity`; what there is to say, a line each."""
    text, manifest = experiment.document.source.text, _manifest(experiment)
    writer = create_run(root, experiment.name, manifest, text, Policy(None), identity=identity)
    return _drive(experiment, writer, watch)


def resume(experiment: StackExperiment, folder: Path, watch: Watch) -> list[str]:
    """Go on from the last checkpoint of the run in `folder`."""
    return _drive(experiment, RunWriter.open_for_resume(folder), watch)


def _drive(experiment: StackExperiment, writer: RunWriter, watch: Watch) -> list[str]:
    with writer:
        last = RunReader(writer.folder).last_checkpoint()
        done = 0 if last is None else last.step
        while done < experiment.steps:
            seed = experiment.seeds[done // experiment.epochs]
            engine = experiment.config.protocol.engine
            training = experiment.training(seed)
            if last is not None and done % experiment.epochs:
                engine = last.state.get("engine", engine)
                training = _taken_over(experiment, engine, seed, _unpacked(last.state["training"]))
            last = None
            while training.done < experiment.epochs:
                published, ruined = _epoch(training, done, experiment.epochs)
                if training.done == 1:
                    published = replace(published, words=(*published.words, *experiment.doubts(seed)))
                done += 1
                limits = experiment.config.interlocks
                is_over, instead = ruined > limits.ruined, limits.instead
                has_other = instead not in (None, engine) and training.done < experiment.epochs
                if is_over and has_other and instead is not None:
                    words = f"gradients of seed {seed} are by {instead} from epoch {training.done + 1} on"
                    published = replace(published, words=(*published.words, words))
                    engine = instead
                    training = _taken_over(experiment, engine, seed, training.state())
                writer.published(published)
                state = {"seed": seed, "training": _packed(training.state()), "engine": engine}
                writer.checkpoint(Checkpoint(done, state))
                watch(published)
                if is_over and not has_other:
                    eps = experiment.config.by(engine).protocol.eps
                    remedy = "" if eps is None else f"leave out eps, which is {eps:g}, "
                    raise InterlockError(
                        f"interlock ruined: of {100 * ruined:.0f} % of the gradients of epoch {training.done} nothing "
                        f"is left but rounding: {remedy}take units with friction, shorten the sequences, lower d or "
                        "the inputs, or give interlocks: {instead: bptt} for another engine, or interlocks: {ruined: 1}"
                        " to follow them all the same"
                    )
    consolidate(writer.folder)
    return _report(writer.folder, experiment.problem.objective.name)


def _taken_over(experiment: StackExperiment, engine: EngineName, seed: int, state: dict[str, Any]) -> Training:
    """A training that goes on from a `Training.state()` by this engine."""
    training = experiment.replacing(experiment.config.by(engine)).training(seed)
    training.restore(state)
    return training


def _epoch(training: Training, step: int, epochs: int) -> tuple[Publish, float]:
    """One epoch, and the share of its gradients that are ruined."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GradientWarning)
        epoch = training.epoch()
    units = [module for module in training.model.modules() if isinstance(module, Unit)]
    score = training.objective.name
    scalars = {"loss": epoch.loss, f"validation_{score}": epoch.validation, **_worst(units)}
    scalars |= {"seed": float(training.seed), "shots": 0.0, "passes": 0.0}  # no rig: nothing is fired
    if training.done == epochs:
        state = training.state()
        scalars[score] = training.test()
        training.restore(state)
    words = []
    for item in caught:
        if issubclass(item.category, GradientWarning):
            words.append(str(item.message))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    if epoch.ruined:
        words.append(f"of {100 * epoch.ruined:.0f} % of the gradients of this epoch nothing is left but rounding")
    return Publish(step, scalars, tuple(dict.fromkeys(words))), epoch.ruined


def _worst(units: list[Unit]) -> dict[str, float]:
    health = [unit.health for unit in units if unit.health is not None]
    return {
        name: max((float(getattr(item, name)) for item in health), default=float("nan"))
        for name in ("response_ratio", "retrace_error", "growth")
    }


def _manifest(experiment: StackExperiment) -> dict[str, Any]:
    seeds = {f"training {index}": seed for index, seed in enumerate(experiment.seeds)}
    return {
        "home": str(experiment.home.absolute()),
        "rig": f"engine {experiment.config.protocol.engine}",
        "seed": experiment.seeds[0],
        "steps": experiment.steps,
        "asked_steps": experiment.asked_steps,
        "asked_seed": experiment.asked_seed,
        "target_unit": "1",
        "time_unit": "1",
        "configuration": experiment.config.model_dump(mode="json"),
        "provenance": provenance(experiment.home, seeds) | {"torch": torch.__version__},
    }


def _report(folder: Path, score: str) -> list[str]:
    reader = RunReader(folder)
    scores = reader.scalars()[score]
    scores = scores[np.isfinite(scores)]
    words = said_once(reader.words())
    reader.close()
    listed = ", ".join(f"{value:#.4g}" for value in scores)
    return [
        f"run     {folder}",
        f"data    {folder / 'run.nc'}   (xarray.open_dataset)",
        *(f"warning: {text}" for text in words),
        f"test {score.replace('_', ' ')} {scores.mean():#.4g} (mean of {len(scores)} seeds: {listed})",
    ]


def _packed(state: dict[str, Any]) -> Array:
    stream = io.BytesIO()
    torch.save(state, stream)
    return np.frombuffer(stream.getvalue(), np.uint8)


def _unpacked(data: Array) -> dict[str, Any]:
    # weights_only: tensors and plain containers, so that opening a run from elsewhere runs no code.
    return torch.load(io.BytesIO(data.tobytes()), weights_only=True)
