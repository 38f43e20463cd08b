"""`labrhel replay`, `compare`, `twin` and `whatif`: a record again, against a model, as a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from labrhel import plugins
from labrhel.cli.inspecting import told
from labrhel.cli.newest import named
from labrhel.cli.tables import print_table
from labrhel.config import examples
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.records.comparison import compare, recorded_shots, save
from labrhel.records.kept import replay_kept, spelled
from labrhel.records.replay import replay
from labrhel.records.whatif import what_if
from labrhel.store import RunReader
from labrhel.store.policy import Policy


def again(run: str, root: Path, mode: str, config: Path | None, steps: int | None, rig: str | None) -> bool:
    """Replay a run; True if a strict one came out the same to the bit."""
    folder = named(run, root)
    reader = RunReader(folder)
    told(reader)
    if mode == "strict" and (config, steps, rig) == (None, None, None) and reader.policy != Policy(1):
        return _kept(reader)
    done = replay(folder, mode, config=config, steps=steps, rig=rig)
    count, from_record = len(done.losses), done.answered - done.missing
    print(f"{count} gradients replayed, {from_record} shots from the record, {done.missing} from another rig")
    if count:
        print(f"loss {done.losses[0]:.6g} -> {done.losses[-1]:.6g}")
    if done.same:
        print("parameters are the same to the bit")
    else:
        print(f"parameters differ from the record's by up to {done.largest:.3g}")
        for name, value in list(done.parameters.items())[:20]:
            print(f"    {name:28} {value:.8g}")
    factor = done.recorded / done.seconds if done.seconds else 0.0
    print(f"took {done.seconds:.2f} s; the recording took {done.recorded:.2f} s ({factor:.1f} times as long)")
    return done.same or mode != "strict" or config is not None


def _kept(reader: RunReader) -> bool:
    """Replay the steps of which traces were kept; True if they all came out the same."""
    done = replay_kept(reader.folder)
    print(f"{len(done.losses)} of {done.gradients} gradients replayed, {done.answered} shots from the record:")
    print(f"  steps {spelled([*done.losses])}" if done.losses else "  none")
    print(f"  {reader.policy.what_is_missing()}")
    for step, words in (done.refused | done.different).items():
        print(f"step {step}: {words}")
    if done.same:
        print("their losses, nudges, responses and retraces are the same to the bit")
    return done.same


def against(run: str, root: Path, rig: str, step: int | None, to: Path | None) -> None:
    """Differences between a record and a rig, and a picture."""
    folder = named(run, root)
    found = compare(folder, rig, step=step)
    table = Table("channel", "forward", "echo", "answer to the nudge")
    for row in found.rows:
        table.add_row(row.channel, *(_share(value) for value in (row.forward, row.echo, row.response)))
    print(f"step {found.step}: relative rms differences, {rig} from the record")
    print_table(table)
    manifest = RunReader(folder).manifest
    print(save(found, folder / "compare.png" if to is None else to, manifest["target_unit"], manifest["time_unit"]))


def make_twin(run: str, root: Path, step: int | None, to: Path | None) -> None:
    """Fit a twin, say how good it is and what it lacks, and write it."""
    if Path(run).suffix in (".yaml", ".yml") or run in examples():
        experiment = load_experiment(run)
        if experiment.document.config.data is None or experiment.document.config.data.file is None:
            raise ConfigurationError(f"{run} has no recording: a twin is fitted to a file, or to a run")
        made = plugins.make_twin(experiment)
        _tell(made, "the recording", made.write(experiment, Path(f"{experiment.name}_twin.yaml") if to is None else to))
        return
    folder = named(run, root)
    manifest = RunReader(folder).manifest
    experiment = load_experiment(
        folder / "config.yaml",
        rig_url=f"replay:{folder.absolute()}?mode=results",
        home=Path(manifest["home"]),
        code=manifest.get("code", {}),
    )
    step, shots, asked = recorded_shots(folder, experiment, step)
    made = plugins.make_twin(experiment, shots, asked)
    _tell(made, f"step {step}", made.write(experiment, folder / "twin.yaml" if to is None else to))


def _tell(made: Any, what: str, file: Path) -> None:
    table = Table("value", "is", "standard error")
    for name, value in made.values.items():
        table.add_row(name, f"{value:.6g}", f"{made.errors[name]:.2g}")
    print_table(table)
    print(f"{what}: the twin leaves {made.inside:.3g} times the noise where it was fitted,")
    print(f"{made.outside:.3g} times where it was not: {100 * made.relative:.3g} % of the motion")
    for words in made.lacks:
        print(f"what it lacks looks like {words}")
    print(f"twin    sim:{file}")


def what_would(run: str, root: Path, rig: str | None, rules: list[str], eps: list[float]) -> None:
    """Other rules and nudges, on the twin of the run or another rig."""
    folder = named(run, root)
    twin = folder / "twin.yaml"
    if rig is None and not twin.exists():
        raise ConfigurationError(
            f"{folder.name} has no twin yet: make one with `labrhel twin {folder.name}`, or name --rig"
        )
    table = Table("rule", "eps", "cosine", "error", "response ratio", "shots", "")
    for item in what_if(folder, f"sim:{twin.absolute()}" if rig is None else rig, rules, eps):
        nudge = "" if item.eps is None else f"{item.eps:.3g}"
        response = "" if item.response is None else f"{item.response:.2g}"
        numbers = (nudge, f"{item.cosine:.6f}", _share(item.error), response, str(item.shots))
        table.add_row(item.rule, *(("", "", "", "", "") if item.refused else numbers), item.refused)
    print_table(table)


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.3g} %"
