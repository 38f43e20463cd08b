"""`labrhel check`, `labrhel rigs` and `labrhel schema`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from labrhel import plugins
from labrhel.cli.answers import Answer, plain
from labrhel.cli.tables import print_table
from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.experiment import load_experiment, rigs_of
from labrhel.learning.checking import SMALLEST_COSINE, check_gradient
from labrhel.learning.gradient import Gradient
from labrhel.safety import estop, processes
from labrhel.safety.ending import Ending


def check(config: Path, rig: str | None, tolerance: float, answer: Answer, changes: Sequence[str] = ()) -> bool:
    """Print the comparison of gradients; True if all are within the tolerance.  Several rigs, one by one."""
    if not tolerance > 0:
        raise ConfigurationError(f"the tolerance must be positive, not {tolerance:g}")
    urls = rigs_of(config, changes) if rig is None else ()
    if len(urls) < 2:
        return _check(config, rig, tolerance, answer, changes)
    answer["rigs"] = []
    for number, url in enumerate(urls, 1):
        print(f"rig {number}: {url}")
        own: Answer = {"rig": url}
        own["good"] = _check(config, url, tolerance, own, changes)
        answer["rigs"].append(own)
    return all(own["good"] for own in answer["rigs"])


def _check(config: Path, rig: str | None, tolerance: float, answer: Answer, changes: Sequence[str]) -> bool:
    experiment = load_experiment(config, rig_url=rig, changes=changes)
    exact = plugins.exact_gradient(experiment.model_kind)
    with Ending(experiment.rig.close), processes.listening(experiment.rig_url, estop.emergency(experiment.rig)):
        report = check_gradient(experiment.problem, experiment.executor(), exact)
    gradient = report.gradient
    answer |= {
        **_told(gradient),
        "tolerance": tolerance,
        "smallest_cosine": SMALLEST_COSINE,
        "parameters": [{**plain(row), "passes": row.passes(tolerance)} for row in report.rows],
    }
    print(
        f"{gradient.rule}: loss {gradient.loss:.6g}, {gradient.health}{gradient.shots} shots, {gradient.passes} passes"
    )
    table = Table("parameter", "cosine, exact", "error, exact", "cosine, differences", "error, differences", "")
    for row in report.rows:
        verdict = "ok" if row.passes(tolerance) else "WRONG"
        table.add_row(
            row.parameter,
            f"{row.exact_cosine:.9f}",
            f"{row.exact_error:.1e}",
            f"{row.difference_cosine:.9f}",
            f"{row.difference_error:.1e}",
            verdict,
        )
    print_table(table)
    for words in gradient.warnings:
        print(f"warning: {words}")
    good = all(row.passes(tolerance) for row in report.rows)
    print(f"cosines >= {SMALLEST_COSINE} and errors <= {tolerance:g}: {'yes' if good else 'no'}")
    if not good and any(item.noise or item.converter for item in experiment.problem.task.capabilities.channels):
        print("the readings of this rig are noisy, and small differences drown in that: labrhel audit weighs the noise")
    return good


def audit(
    config: Path,
    rig: str | None,
    tolerance: float,
    alpha: float,
    shots: int,
    seed: int,
    answer: Answer,
    changes: Sequence[str] = (),
) -> bool:
    """Measure one gradient on the rig, and ask the rig whether it is right; False too if it could not tell."""
    asked = plugins.make_audit(tolerance=tolerance, alpha=alpha, most=shots, seed=seed)
    experiment = load_experiment(config, rig_url=rig, changes=changes)
    problem = experiment.problem
    x, sequences = problem.parameters.flat(), problem.train[:1]
    with Ending(experiment.rig.close), processes.listening(experiment.rig_url, estop.emergency(experiment.rig)):
        handler = experiment.executor()
        gradient = execute(problem.gradient(x, sequences), handler)
        print(f"{gradient.rule}: loss {gradient.loss:.6g}, {gradient.health}{gradient.shots} shots")
        for words in gradient.warnings:
            print(f"warning: {words}")
        verdict = execute(asked.of(problem.task, sequences, problem.theta(x), gradient, problem.trained), handler)
    answer |= {**_told(gradient), "tolerance": tolerance, "alpha": alpha, "verdict": verdict, "words": str(verdict)}
    print(verdict)
    return verdict.right is True


def _told(gradient: Gradient) -> Answer:
    """What an answer says of a gradient; `values` are derivatives of the loss by the parameters in model units."""
    names = ("rule", "loss", "shots", "passes", "eps", "response_ratio", "retrace_error", "values", "warnings")
    return {name: getattr(gradient, name) for name in names}


def list_rigs() -> None:
    """The kinds of rig URL that are installed, and the examples they may name."""
    for line in plugins.describe_rigs():
        print(line)


def print_schema() -> None:
    """The JSON schema of a configuration file."""
    from labrhel.config import json_schema

    print(json.dumps(json_schema(), indent=2))
