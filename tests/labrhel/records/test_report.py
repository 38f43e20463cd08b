"""The report of a run: its verdict, and a page that a browser shows without an error."""

import os
import re
import subprocess
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray

from labrhel import session
from labrhel.experiment import load_experiment
from labrhel.records.plots import draw
from labrhel.records.report import report, verdict_of
from labrhel.shots.operations import Publish
from labrhel.store import RunReader, list_runs
from labrhel.testing.configurations import SMALL
from labrhel.testing.programs import program


def ignore(published: Publish) -> None:
    """Watch nothing."""


def run_of(folder: Path, text: str, **more: object) -> RunReader:
    file = folder / "small <&> run.yaml"
    file.write_text(text)
    return RunReader(session.start(load_experiment(file, **more), folder / "runs", ignore).folder)  # type: ignore[arg-type]


def test_a_run_that_learns_went_well(tmp_path: Path) -> None:
    verdict = verdict_of(run_of(tmp_path, SMALL, steps=40))
    assert verdict.mark == "well" and "the loss fell to" in verdict.words[0]


def test_an_error_is_said_beside_its_target_and_most_of_it_left_is_no_success(tmp_path: Path) -> None:
    reader = run_of(tmp_path, SMALL, steps=3)
    verdict = verdict_of(reader)
    assert verdict.mark != "well"
    (said,) = [words for words in verdict.words if words.startswith("test error")]
    assert re.search(r"NRMSE [0-9.]+ . [0-9.]+; the target has [0-9.]+ m?V rms", said)


def test_worse_than_predicting_zero_is_bad(tmp_path: Path) -> None:
    loud = SMALL.replace("gain: 1.0", "gain: 6.0").replace("rate: 0.05", "rate: 0.001")
    loud = loud.replace("parameters: {coupling: 0.35}", "parameters: {coupling: 0.35, stiffness: [1.0, 2.0]}")
    verdict = verdict_of(run_of(tmp_path, loud, steps=6))
    assert any("worse than predicting zero" in words for words in verdict.words) == (verdict.mark == "bad")


def test_input_target_and_read_out_before_and_after_are_kept_and_drawn(tmp_path: Path) -> None:
    reader = run_of(tmp_path, SMALL, steps=4)
    with xarray.open_dataset(reader.folder / "run.nc") as data:
        assert {"test_input", "test_target", "test_readout_before", "test_readout"} <= set(data.data_vars)
        assert list(data["port"].values) == ["u1"] and list(data["output"].values) == ["q2"]
        assert data["test_readout"].attrs["units"] == "V" and data["test_time"].attrs["units"] == "ms"
        errors = [float(np.sqrt(((data[name] - data["test_target"])[:, 5:] ** 2).mean()))
                  for name in ("test_readout_before", "test_readout")]  # fmt: skip
    scalars = reader.scalars()
    measured = scalars["test_test"][np.isfinite(scalars["test_test"])]
    assert errors == pytest.approx([measured[0], measured[-1]])
    assert reader.verify() == []
    figure = draw(reader)
    drawn = {axes.get_title(): [line.get_label() for line in axes.get_lines()] for axes in figure.axes}
    assert drawn["test: input"] == ["u1"]
    (labels,) = [labels for title, labels in drawn.items() if title.startswith("test: q2, error")]
    assert labels == ["target", "read-out before", "read-out, trained"]
    panels = [axes.get_tightbbox() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(panels, 2))
    assert all(figure.bbox.fully_containsx(box.x0) and figure.bbox.fully_containsy(box.y1) for box in panels)
    assert "test: q2, error" in report(reader)


def test_a_loss_that_rises_is_bad(tmp_path: Path) -> None:
    verdict = verdict_of(run_of(tmp_path, SMALL.replace("rate: 0.05", "rate: 0.6"), steps=3))
    assert verdict.mark == "bad" and "did not fall" in verdict.words[0]


def test_an_echo_that_does_not_come_back_raises_a_doubt(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    experiment = load_experiment(file, rig_url=f"sim:{file}?flip_error=0.3", steps=40)
    verdict = verdict_of(RunReader(session.start(experiment, tmp_path / "runs", ignore).folder))
    assert verdict.mark == "doubt" and any("the echo missed" in words for words in verdict.words)


def test_what_a_rule_does_not_measure_is_neither_recorded_nor_drawn(tmp_path: Path) -> None:
    differences = SMALL.replace("protocol: {", "protocol: {rule: finite_differences, ")
    reader = run_of(tmp_path, differences, steps=2)
    assert not {"eps", "response_ratio", "retrace_error"} & set(reader.scalars())
    page = report(reader)
    assert "Loss" in page and "Health of the echo" not in page and "Nudge strength" not in page
    assert not [axes for axes in draw(reader).axes if axes.get_title() in ("Health of the echo", "Nudge strength eps")]
    assert "Health of the echo" in report(run_of(tmp_path, SMALL, steps=2))


def test_a_run_that_was_stopped_says_how_to_go_on(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)

    def stop(published: Publish) -> None:
        if published.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.start(load_experiment(file), tmp_path / "runs", stop)
    (reader,) = list_runs(tmp_path / "runs")
    assert any("labrhel resume" in words for words in verdict_of(reader).words)
    assert "<!doctype html>" in report(reader)


def test_the_page_holds_everything_and_loads_nothing(tmp_path: Path) -> None:
    page = report(run_of(tmp_path, SMALL))
    assert "small &lt;&amp;&gt; run" in page and "<&>" not in page
    assert page.count("data:image/png;base64,") == 7
    assert not re.search(r'(src|href)="(?!data:)', page)
    for words in ("Warnings", "Calibration used", "Provenance", "coupling[0]", "width=device-width"):
        assert words in page


@pytest.mark.slow
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_it_at_desktop_and_phone_width(width: int, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    script = (
        "<script>window.onload=()=>{const wide=document.documentElement.scrollWidth>innerWidth+1;"
        "const broken=[...document.images].some(i=>!i.naturalWidth);"
        "document.title='checked wide='+wide+' broken='+broken+' '+innerWidth}</script></body>"
    )
    file.write_text(report(run_of(tmp_path, SMALL)).replace("</body>", script))
    done = subprocess.run(
        [
            str(program("chromium")), "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
            "--dump-dom",
            "--enable-logging=stderr", "--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'browser'}",
            file.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, env=os.environ | {"HOME": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert "checked wide=false broken=false" in done.stdout, done.stdout[:500] + done.stderr[-500:]
    assert "Uncaught" not in done.stderr
