"""What a stack learns: the data of a configuration, and what follows from the kind of their targets.

data      targets                    head       minimised            score
file      classes of UEA's archive   Classify   cross entropy        accuracy
file      numbers, each of a series  Estimate   mean square error    mean square error, over the variance
images    what an image shows        Classify   cross entropy        accuracy
folder    PPG-DaLiA's heart rate     Regress    mean square error    mean square error, of targets in [-1, 1]
task      sequences, as they are     EveryStep  mean square error    mean square error; recall of copied symbols

A task may also be a made data set, of classes or of a heart rate, which is learned as a real one is.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from labrhel.config.stack import StackDocument, TaskSection
from labrhel.data.archive import Archive, read_archive
from labrhel.data.images import read_images
from labrhel.data.made import classes
from labrhel.data.made import heart_rate as made_heart_rate
from labrhel.data.ppg_dalia import READING, SOURCE, Windows, read_ppg_dalia, split_windows
from labrhel.data.recording import find_folder
from labrhel.data.samples import Samples, Split, given_split, random_split
from labrhel.data.tasks import TASKS
from labrhel.errors import ConfigurationError
from simbackend.recurrent.stacks.hssm import Classify, Estimate, EveryStep, Regress
from simbackend.recurrent.stacks.training import CLASSIFICATION, DENSE, RECALL, REGRESSION, Objective

_MADE, _CHANNELS, _CLASSES = 2025, 6, 2  # seed, channels and classes of made series


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Data that are at hand, and how a stack is joined to them.

    `channels` are those of every input, `targets` says in words what is to be learned, `split` makes the three sets of
    a seed, `head` the read-out of a number of features, `digest` tells whether two sets of data are the same, `labels`
    are the names of the classes, none where there are none.
    """

    channels: int
    targets: str
    split: Callable[[int], Split]
    head: Callable[[int], nn.Module]
    objective: Objective
    digest: Callable[[], str] = str
    labels: tuple[str, ...] = ()

    def unseen(self, seed: int) -> list[str]:
        """Classes that no sequence shows which is learned from: nothing can be learned of them."""
        shown = {int(target) for target in self.split(seed).train.targets} if self.labels else set()
        return [label for number, label in enumerate(self.labels) if number not in shown]


def problem_of(document: StackDocument, folders: Sequence[Path]) -> Problem:
    """The problem of a configuration, its data looked for in `folders`.

    Raises ConfigurationError with file, line and key for data that are missing or damaged.
    """
    data = document.config.data
    if data.file is not None:
        with document.at("data", "file"):
            return classification(_various(read_archive(data.file, folders)), given=data.split == "given")
    if data.images is not None:
        with document.at("data", "images"):
            return classification(_various(read_images(data.images, folders)), given=data.split == "given")
    windows = Windows() if data.windows is None else Windows(data.windows.length, data.windows.every)
    if data.task is not None:
        with document.at("data", "task"):
            return _of_task(data.task, windows)
    assert data.folder is not None
    with document.at("data", "folder"):
        return heart_rate(read_ppg_dalia(find_folder(data.folder, folders, SOURCE)), windows)


def _of_task(task: TaskSection, windows: Windows) -> Problem:
    """What is made in place of a data set is drawn once: a seed decides its split, as it does of a real one."""
    random = np.random.default_rng([_MADE, task.steps])
    if task.kind == "classes":
        channels, kinds = task.channels or _CHANNELS, task.classes or _CLASSES
        samples = classes(task.sequences, task.steps, channels, kinds, random)
        return classification(_various(Archive(samples, tuple(map(str, range(kinds))))))
    if task.kind == "heart_rate":
        return heart_rate(made_heart_rate(task.sequences, task.steps, random), windows)
    return made(task.kind, task.sequences, task.steps)


def _various(archive: Archive) -> Archive:
    """The same, if there is something to tell apart; ConfigurationError if not."""
    kinds = {int(target) for target in archive.samples.targets} if archive.labels else set()
    if len(kinds) == 1:
        (kind,) = kinds
        raise ConfigurationError(f"all sequences are of the class {archive.labels[kind]!r}: there is nothing to tell")
    return archive


def classification(archive: Archive, *, given: bool = False) -> Problem:
    """What is the class of each sequence, or the number that goes with it?  `given`: the archive's own split."""
    split = partial(given_split, archive.train, archive.test) if given else partial(random_split, archive.samples)
    digest = (archive.train + archive.test).digest if given else archive.samples.digest
    if not archive.labels:
        head, words, objective = partial(Estimate, outputs=1), "a number for each", REGRESSION
    else:
        count = len(archive.labels)
        head, words, objective = partial(Classify, classes=count), f"{count} classes", CLASSIFICATION
    return Problem(archive.channels, words, split, head, objective, digest, archive.labels)


def made(kind: str, sequences: int, steps: int) -> Problem:
    """What does a sequence of a made task ask at each of its steps?"""

    def samples(count: int, seed: int) -> Samples:
        return TASKS[kind](count, steps, np.random.default_rng([seed, steps]))

    first = samples(1, 0)
    return Problem(
        channels=first.inputs[0].shape[1],
        targets=f"{steps} steps of {kind.replace('_', ' ')} in each",
        split=lambda seed: random_split(samples(sequences, seed), seed),
        head=partial(EveryStep, outputs=first.targets[0].shape[1]),
        objective=RECALL if kind == "copy_memory" else DENSE,
    )


def heart_rate(subjects: Samples, windows: Windows) -> Problem:
    """What is the heart rate at the end of every reading of each window?"""
    return Problem(
        channels=subjects.inputs[0].shape[1],
        targets=f"{windows.length} readings in each",
        split=partial(split_windows, subjects, windows),
        head=partial(Regress, outputs=1, output_step=READING),
        objective=REGRESSION,
        digest=subjects.digest,
    )
