"""The command line as a whole, and the arguments and options that its commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="labrhel",
    help="Train oscillator rigs in place by Hamiltonian echoes: run forward, reverse, nudge both ways, subtract.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML configuration, or the name of an example.", show_default=False)
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, a run id, or the start of one.", show_default=False)
]
Text = Annotated[str, typer.Option(help="Only runs whose name, id, rig, rule or note holds this.")]
Status = Annotated[
    str, typer.Option(help="Only done, failed, unsafe, interrupted, killed, running, paused or damaged ones.")
]
Tag = Annotated[str, typer.Option(help="Only runs with this tag.")]
AtStep = Annotated[int | None, typer.Option("--step", metavar="N", help="The step; left out: the last that was kept.")]
Newest = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]", help="A run folder, a run id, or the start of one; left out: the newest.", show_default=False
    ),
]
Running = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A run that is going on; left out: the only one.", show_default=False)
]
RigUrl = Annotated[
    str | None, typer.Option("--rig", metavar="URL", help="Another rig than the file names; see `labrhel rigs`.")
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder that holds the run folders.")]
RunsOrOut = Annotated[  # `--out` is what this folder was called when a run was begun, and scripts say it still
    Path, typer.Option("--runs", "--out", metavar="DIR", help="Folder that holds the run folders.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of CONFIG, such as optimizer.rate=0.1; may recur."),
]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", help="How many gradients to take.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of the training: order of the sequences.")]
Telemetry = Annotated[
    str | None,
    typer.Option("--telemetry", metavar="URL", help="Publish over MQTT: mqtt://user@host:1883/prefix, or mqtts://."),
]

NoPlot = Annotated[
    bool,
    typer.Option("--no-plot", envvar="LABRHEL_NO_PLOT", help="Draw no picture; `labrhel plot` does at any time."),
]

DEFAULT_RUNS = Path("runs")

Calibrations = Annotated[Path, typer.Option("--calibrations", metavar="DIR", help="Folder of calibration records.")]
Uncalibrated = Annotated[bool, typer.Option("--uncalibrated", help="Use no calibration, even if there is one.")]

DEFAULT_CALIBRATIONS = Path("calibrations")
