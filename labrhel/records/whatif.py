"""What would another rule, or another eps, have given?  Gradients on a known rig, against its own differences."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labrhel import plugins
from labrhel.errors import LabrhelError
from labrhel.executor import execute
from labrhel.experiment import load_experiment
from labrhel.learning.checking import compare
from labrhel.learning.gradient import Gradient
from labrhel.learning.rules import Rule
from labrhel.store import RunReader

_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Answer:
    """One rule at one eps: cosine and relative error against differences, response ratio, shots; or why not.

    `eps` and `response` are None of a rule that does not nudge.
    """

    rule: str
    eps: float | None
    cosine: float
    error: float
    response: float | None
    shots: int
    refused: str = ""


def what_if(folder: Path, rig: str, rules: Sequence[str], eps: Sequence[float]) -> list[Answer]:
    """Gradients of the first training sequence at the run's starting parameters, on the rig `rig`."""
    reader = RunReader(folder)
    manifest = reader.manifest
    experiment = load_experiment(
        folder / "config.yaml",
        rig_url=rig,
        seed=manifest["seed"],
        home=Path(manifest["home"]),
        code=manifest.get("code", {}),
    )
    problem = experiment.problem
    asked = problem.request(problem.parameters.flat(), problem.train[:1])
    names = [name for name in problem.wanted if not name.startswith("readout")]

    def measured(rule: Rule) -> Gradient:
        return execute(rule.gradient(asked), experiment.executor())

    def flat(gradient: Gradient) -> np.ndarray:
        return np.concatenate([np.ravel(gradient.values[name]) for name in names])

    answers = []
    with closing(experiment.rig):
        true = flat(measured(plugins.make_rule("finite_differences", {"step": _STEP})))
        own = manifest["configuration"]["protocol"].get("rule", "rhel")
        for name in rules or [own]:
            for value in eps or [None]:
                options: dict[str, Any] = {} if value is None else {"eps": value}
                try:
                    if name != own:
                        rule = plugins.make_rule(name, options)
                    else:
                        rule = problem.rule if value is None else replace(problem.rule, **options, response=None)  # type: ignore[type-var]
                    found = measured(rule)
                except LabrhelError as error:
                    answers.append(Answer(name, value, np.nan, np.nan, None, 0, str(error)))
                    continue
                cosine, error = compare(flat(found), true)
                answers.append(Answer(name, found.eps, cosine, error, found.response_ratio, found.shots))
    return answers
