"""The command line as a user meets it: what it prints, what it returns, and what bad input leaves behind (nothing)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray

from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL
from simbackend.rigs.simulated import SimulatedRig


@pytest.mark.usefixtures("runs_that_draw")
def test_a_run_says_where_everything_lies_and_ends_with_the_test_error(shell: Shell) -> None:
    status, out, _ = shell("run", shell.write(SMALL), "--steps", "4")
    lines = out.strip().splitlines()
    assert status == 0
    assert lines[-1].startswith("test error ")
    assert "V rms (before " in lines[-1]
    folder = Path(next(line.split()[1] for line in lines if line.startswith("run ")))
    assert {"run.nc", "plot.png", "config.yaml", "manifest.json"} <= {path.name for path in folder.iterdir()}


def test_what_was_recorded_can_be_listed_shown_plotted_and_exported(shell: Shell) -> None:
    shell("run", shell.write(SMALL), "--steps", "4", "--out", "here")
    status, out, _ = shell("runs", "--runs", "here")
    assert status == 0
    assert "small" in out
    assert "done" in out
    run = next(path.name for path in Path("here").iterdir() if path.is_dir())
    assert shell("show", run.rsplit("-", 1)[-1], "--runs", "here")[0] == 0
    assert shell("plot", run, "--runs", "here", "--to", "picture.png")[0] == 0
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")
    assert shell("export", run, "out/run.nc", "--runs", "here")[0] == 0
    with xarray.open_dataset("out/run.nc") as dataset:
        assert dataset["loss"].dropna("step").size == 4


def test_a_command_on_records_takes_the_newest_run_and_says_which(shell: Shell) -> None:
    small = shell.write(SMALL.replace("every 3", "all"))
    shell("run", small, "--steps", "1", "--runs", "here")
    (older,) = (path.name for path in Path("here").iterdir())
    time.sleep(max(0.0, 1.01 - time.time() % 1))  # names of runs have seconds
    assert shell("run", small, "--steps", "2", "--runs", "here")[0] == 0
    (newest,) = (path.name for path in Path("here").iterdir() if path.is_dir() and path.name != older)
    for words in (("show",), ("plot",), ("report",), ("replay",), ("resume",), ("export", "it.nc")):
        status, out, errors = shell(*words, "--runs", "here")
        assert status == 0, out + errors
        assert f"the newest run in here: {newest}" in errors
    assert Path("it.nc").exists()
    assert older in shell("show", older, "--runs", "here")[1]
    status, _, errors = shell("show", "--runs", "nowhere")
    assert status == 2
    assert "nowhere holds no runs; name the folder that does with --runs" in errors


def test_a_finished_run_can_be_continued_with_more_steps(shell: Shell) -> None:
    shell("run", shell.write(SMALL), "--steps", "3")
    run = next(Path("runs").iterdir()).name
    status, out, _ = shell("resume", run, "--steps", "6")
    assert status == 0
    assert "in 6 gradients" in out


def test_a_dry_run_says_what_a_gradient_costs_and_writes_nothing(shell: Shell) -> None:
    status, out, _ = shell("run", shell.write(SMALL), "--dry-run")
    assert status == 0
    assert "6 shots, 6 passes" in out
    assert "compile -> interlock -> limits -> recorder -> retry -> watchdog -> approach -> sim:" in out
    assert not Path("runs").exists()


def test_check_passes_on_the_examples_and_fails_where_the_echo_is_wrong(shell: Shell) -> None:
    status, out, _ = shell("check", "coupled_oscillators")
    assert status == 0
    assert out.strip().endswith("yes")
    plain = shell.write(SMALL.replace("{record: every 3}", "{record: every 3, echo: plain}"))
    status, out, _ = shell("check", plain)
    assert status == 1
    assert "WRONG" in out
    assert "plain echo on a rig that loses" in out
    assert "labrhel audit" not in out
    status, out, _ = shell("check", plain, "--rig", "sim:?noise=2mV")
    assert status == 1
    assert "labrhel audit weighs the noise" in out


def test_a_time_line_is_told_and_drawn(shell: Shell) -> None:
    status, out, _ = shell("timeline", shell.write(SMALL))
    assert status == 0
    assert "nudged echo" in out
    assert "compensation" in out
    assert "3 shots in" in out
    assert Path("small-timeline.png").stat().st_size > 10_000
    assert not Path("runs").exists()


def test_an_audit_asks_the_rig_itself(shell: Shell) -> None:
    status, out, _ = shell("audit", "coupled_oscillators")
    assert status == 0
    assert "right after" in out
    status, out, _ = shell("audit", "coupled_oscillators", "--rig", "sim:coupled_oscillators?friction=50/s")
    assert status == 1
    assert "WRONG after" in out
    assert "the echo misses the forward path" in out
    assert shell("audit", "coupled_oscillators", "--tolerance", "2")[0] == 2


def test_a_rule_that_cannot_work_is_refused_with_those_that_would(shell: Shell) -> None:
    linear = shell.write(SMALL.replace("protocol: {", "protocol: {rule: adjoint_only, "))
    status, _, err = shell("run", linear, "--dry-run")
    assert status == 2
    assert "the rule adjoint_only does not apply: the rig is not linear; rules that would do: " in err
    assert "rhel" in err.partition("would do")[2]


def test_the_schema_and_the_rigs_are_told(shell: Shell) -> None:
    assert json.loads(shell("schema")[1])["title"] == "labrhel configuration"
    status, out, _ = shell("rigs")
    assert status == 0
    assert "sim:" in out
    assert "coupled_oscillators" in out


BAD = {
    "missing file": (None, [], "nowhere.yaml"),
    "not yaml": ("model: [1, 2", [], "small.yaml:"),
    "unknown key": (SMALL.replace("rate: 0.05", "rat: 0.05"), [], "rat"),
    "unknown section": (SMALL + "extra: 1\n", [], "extra"),
    "wrong type": (SMALL.replace("steps: 12", "steps: many"), [], "optimizer.steps"),
    "shape": (SMALL.replace("stiffness: [1.0, 1.4]", "stiffness: [1.0, 1.4, 2.0]"), [], "stiffness"),
    "eps zero": (SMALL.replace("{record: every 3}", "{eps: 0}"), [], "eps"),
    "eps negative": (SMALL.replace("{record: every 3}", "{eps: -1e-3}"), [], "eps"),
    "read-out": (SMALL.replace("channels: [q2]", "channels: [q9]"), [], "q9"),
    "unstable": (SMALL.replace("spacing: 0.3", "spacing: 3.0"), [], "unstable"),
    "unknown rig": (SMALL, ["--rig", "mars:rover"], "mars"),
    "unknown rig setting": (SMALL, ["--rig", "sim:?sed=7"], "sed"),
    "no such option": (SMALL, ["--stepps", "3"], "stepps"),
    "negative steps": (SMALL, ["--steps", "-3"], "steps"),
    "NaN in the data": ("file:nan", [], "u"),
    "lengths that disagree": ("file:length", [], "y"),
    "missing array": ("file:missing", [], "y"),
    "no data": ("file:absent", [], "recording.npz"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence_status_2_and_leaves_nothing_behind(shell: Shell, name: str) -> None:
    text, options, word = BAD[name]
    if text is None:
        file = "nowhere.yaml"
    elif text.startswith("file:"):
        file = shell.write(from_file(shell.folder, text.removeprefix("file:")))
    else:
        file = shell.write(text)
    status, out, err = shell("run", file, *options)
    assert status == 2
    assert out == ""
    assert word in err
    assert "Traceback" not in err
    if name != "no such option":  # typer's own message comes in a box
        assert err.startswith("error: ")
        assert err.count("\n") == 1
    assert not Path("runs").exists()


RECORDED = (
    "data: {file: recording.npz, input: u, target: y, rate: 1000, substeps: 4, skip: 5, "
    "train: {starts: [0], length: 50}, test: {rest: {start: 50, stop: 100}}}\n"
)


def from_file(folder: Path, fault: str) -> str:
    """The small configuration on recorded data with one fault."""
    u = np.sin(np.arange(100.0))
    arrays = {"u": u, "y": u.copy(), "fs": np.array(1000.0)}
    if fault == "nan":
        arrays["u"][17] = np.nan
    elif fault == "length":
        arrays["y"] = arrays["y"][:90]
    elif fault == "missing":
        del arrays["y"]
    if fault != "absent":
        np.savez(folder / "recording.npz", **arrays)
    head = SMALL[: SMALL.index("data:")]
    return head + (
        "data: {file: recording.npz, input: u, target: y, rate: fs, substeps: 4, skip: 5, "
        "train: {starts: [0], length: 50}, test: {rest: {start: 50, stop: 100}}}\n"
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small configuration and a run of it."""
    shell = Shell(tmp_path_factory.mktemp("recorded"))
    assert shell("run", shell.write(SMALL), "--steps", "2")[0] == 0
    return shell.folder


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", "zzz"), 2, "no run 'zzz' in runs"),
        (("resume", "RUN", "--steps", "1"), 2, "it cannot go on to 1"),
        (("plot", "RUN", "--to", "picture.foo"), 2, "does not end like a picture"),
        (("plot", "RUN", "--to", "nowhere/picture.png"), 3, "picture.png could not be written"),
        (("export", "RUN", "run.txt"), 2, "does not end in .nc"),
        (("export", "RUN", "folder.nc"), 3, "Is a directory; nothing else changed"),
        (("export", "RUN", "small.yaml/run.nc"), 3, "small.yaml"),
        (("run", "small.yaml", "--out", "small.yaml"), 3, "nothing has run"),
        (("check", "small.yaml", "--tolerance", "nan"), 2, "tolerance must be positive"),
    ],
)
def test_what_cannot_be_done_with_a_run_is_one_sentence(
    shell: Shell, recorded: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    shutil.copytree(recorded, shell.folder, dirs_exist_ok=True)
    Path("folder.nc").mkdir()
    run = next(Path("runs").iterdir()).name
    found, out, err = shell(*(run if word == "RUN" else word for word in words))
    assert (found, out) == (status, "")
    assert said in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["folder.nc", "runs", "small.yaml"]


def test_a_damaged_run_does_not_hide_the_others(shell: Shell) -> None:
    for _ in range(2):
        shell("run", shell.write(SMALL), "--steps", "1")
    spoilt, sound = sorted(Path("runs").iterdir())
    (spoilt / "manifest.json").write_text("{")
    status, out, _ = shell("runs")
    assert status == 0
    assert "done" in out
    assert f"damaged: {spoilt / 'manifest.json'}" in out
    assert shell("show", sound.name)[0] == 0
    assert shell("show", spoilt.name)[0] == 3


def test_a_table_is_never_cut_to_the_width_of_the_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    shell("run", shell.write(SMALL, "a_rather_long_name_of_a_configuration.yaml"), "--steps", "1")
    assert "a_rather_long_name_of_a_configuration" in shell("runs")[1]
    assert "readout_offset" in shell("check", "a_rather_long_name_of_a_configuration.yaml")[1]


def test_a_name_with_a_dollar_is_drawn_as_it_is_and_a_unit_with_one_is_none(shell: Shell) -> None:
    assert shell("run", shell.write(SMALL, "a$b^$.yaml"), "--steps", "1")[0] == 0
    text = SMALL.replace("position: V", 'position: "$x^$"')
    status, _, err = shell("run", shell.write(text), "--steps", "1")
    assert status == 2 and "model.units.position" in err and "$x^$" in err


def test_a_terminal_that_shows_ascii_only_gets_question_marks(tmp_path: Path) -> None:
    (tmp_path / "größe.yaml").write_text(SMALL.replace("kind: adam", "kind: ädäm"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[3])}
    words = [sys.executable, "-m", "labrhel", "run", "größe.yaml"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, env=environment, check=False)
    assert ended.returncode == 2
    assert b"'?d?m'" in ended.stderr


def test_a_file_name_that_the_locale_cannot_spell_is_still_the_name_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "größe.yaml").write_text(SMALL)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    words = [sys.executable, "-m", "labrhel", "run", "größe.yaml", "--steps", "1"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "manifest.json").read_text())["name"] == "größe"


def test_an_unstable_rig_is_a_device_failure_and_its_record_says_so(shell: Shell) -> None:
    wild = SMALL.replace("cubic: 0.2", "cubic: -30.0").replace("{coupling: 0.35}", "{coupling: 0.35, cubic: 0.2}")
    status, out, err = shell("run", shell.write(wild))
    assert (status, out) == (3, "")
    assert err.startswith("error: the simulated rig sim: diverged")
    assert "failed" in shell("runs")[1]


def has_checkpoint(runs: Path) -> bool:
    """True once a run has written a checkpoint; its folder is renamed into place while we look."""
    try:
        return any(runs.glob("*/checkpoint.*"))
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_sigterm_ends_a_run_like_ctrl_c_does(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("steps: 12", "steps: 100000"))
    child = subprocess.Popen(
        [sys.executable, "-m", "labrhel", "run", "small.yaml"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not has_checkpoint(tmp_path / "runs") and child.poll() is None:
        time.sleep(0.01)
    child.terminate()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "outputs are safe" in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_second_ctrl_c_does_not_keep_the_outputs_from_being_made_safe(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def make_safe(rig: SimulatedRig) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        done.append("safe")

    monkeypatch.setattr(SimulatedRig, "make_safe", make_safe)
    monkeypatch.setattr(SimulatedRig, "configure", lambda rig, knobs: signal.raise_signal(signal.SIGINT))
    shell.write(SMALL[: SMALL.index("data:")] + RECORDED)
    u = np.sin(np.arange(100.0))
    np.savez("recording.npz", u=u, y=np.roll(u, 2))
    status, _, err = shell("run", "small.yaml")
    assert status == 130
    assert "outputs are safe" in err
    assert "safe" in done
    assert "interrupted" in shell("runs")[1]
