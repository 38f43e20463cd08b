"""From the sections of a configuration to the parts of a `labrhel.learning.train.Problem`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labrhel import plugins
from labrhel.arrays import Array, Arrays
from labrhel.config import Document
from labrhel.config.problems import nearest
from labrhel.data import Dataset, weighted_variance
from labrhel.errors import ConfigurationError
from labrhel.experiment.model import readout_channels, readout_of, trained_model_parameters
from labrhel.learning.needs import objections, out_of_reach
from labrhel.learning.parameters import ParameterSet
from labrhel.learning.rules import Rule
from labrhel.learning.task import STATE, Task
from labrhel.learning.train import Problem
from labrhel.model.interface import Model
from labrhel.rig.capabilities import Capabilities


def coordinates_of(document: Document, model: Model) -> tuple[ParameterSet, Callable[[Array], dict[str, Array]]]:
    """The trained parameters, and the map from their coordinates x to all parameters of model and read-out."""
    gain, offset, trained_readout = readout_of(document)
    with document.at("model", "parameters"):
        parameters = ParameterSet([*trained_model_parameters(document, model), *trained_readout])
    fixed = {name: spec.nominal for name, spec in model.parameters.items()}
    fixed |= {"readout": gain, "readout_offset": offset}

    def theta(x: Array) -> dict[str, Array]:
        return fixed | parameters.values(x)

    return parameters, theta


def rule_of(document: Document) -> Rule:
    """The learning rule with the options of the file."""
    section = document.config.protocol
    with document.at("protocol"):
        return plugins.make_rule(section.rule, section.options(), document.code)


def check_paths(document: Document, problem: Problem) -> None:
    """Refuse to train what nothing on the rig can set, unless the file says that the host's model alone is meant.

    A gradient of such a parameter would be right, and following it would change the host's idea of the rig alone.
    """
    rig, alone = problem.task.capabilities, document.config.protocol.host_side
    for index, name in enumerate(alone):
        with document.at("protocol", "host_side", index):
            if name not in problem.wanted:
                raise ConfigurationError(f"this parameter is not trained; {nearest(name, problem.wanted)}")
    fixed = out_of_reach(rig, problem.wanted)
    for name in fixed:
        if name in alone:
            continue
        offered = ", ".join(knob.name for knob in rig.knobs)
        needed = "cannot be prepared in a state" if name in STATE else f"has no knob for {name}"
        raise document.source.error(
            f"the rig {rig.rig} {needed}, so training it would move nothing there; it has knobs for: "
            f"{offered or 'nothing'}. Take out train: true, let the rig set it, or, to train the host's model alone on "
            f"purpose, say protocol: {{host_side: [{name}]}}",
            "model",
            "parameters",
            name,
        )


def check_rule(document: Document, problem: Problem) -> None:
    """Refuse a rule that cannot work on this rig and task, and name those that would do."""
    theta = problem.theta(problem.parameters.flat())

    def against(rule: Rule) -> tuple[str, ...]:
        return objections(rule.needs, problem.task, problem.train, theta, problem.wanted, problem.trained)

    found = against(problem.rule)
    if found:
        others = plugins.rules_that_apply(lambda rule: not against(rule))
        advice = f"rules that would do: {', '.join(others)}" if others else "no other rule would do either"
        name = document.config.protocol.rule
        raise document.source.error(f"the rule {name} does not apply: {'; '.join(found)}; {advice}", "protocol")


def task_of(document: Document, model: Model, capabilities: Capabilities, dataset: Dataset, theta: Arrays) -> Task:
    """The task on the rig that declares `capabilities`, starting at `theta`.

    Raises ConfigurationError for a read-out that the rig does not have, targets that are constant, and a step at
    which the model is unstable.
    """
    section = document.config.data
    assert section is not None
    channels = readout_channels(document, capabilities)
    variance = weighted_variance(dataset.train)
    if not np.isfinite(variance):
        raise document.source.error("the training targets are too large: their squares overflow", "data", "target")
    if not variance > 0:
        raise document.source.error("the training targets are constant: there is nothing to learn", "data", "target")
    task = Task(model, capabilities, dataset.spacing / section.substeps, section.substeps, channels, variance)
    with document.at("data", "substeps"):
        task.check_step(theta)
    return task


def batch_of(document: Document, count: int) -> int:
    """Sequences in each gradient, of `count`; raises ConfigurationError for more than there are."""
    section = document.config.data
    batch = count if section is None or section.batch is None else section.batch
    if batch > count:
        raise document.source.error(f"a batch of {batch} needs as many sequences; there are {count}", "data", "batch")
    if document.config.optimizer.kind == "lbfgs" and batch < count:
        raise document.source.error(
            "lbfgs needs the same loss at every step: leave batch out, or take adam or momentum", "data", "batch"
        )
    return batch
