"""`labrhel paper classification` and `regression`, on made series that are learned in a moment."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.records.tables import Asked  # noqa: E402
from labrhel.store import RunReader  # noqa: E402
from labrhel.store.folder import run_folders  # noqa: E402
from labrhel.testing.command_line import called  # noqa: E402
from simbackend.recurrent.stacks.paper import PAPER  # noqa: E402
from simbackend.recurrent.tables.training import classification, paired, regression  # noqa: E402

DOCS = Path(__file__).parents[4] / "docs"
PRINTED = [
    line.split()[1:]
    for page in sorted(DOCS.glob("*.md"))
    for line in page.read_text().splitlines()
    if line.startswith("    labrhel paper ") and "--data" not in line
]
SMALL = PRINTED[0][2:]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small table was made, with what was printed in `said`."""
    folder = tmp_path_factory.mktemp("whole")
    done = called(folder, "paper", "classification", *SMALL)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    return folder


def test_the_table_compares_engines_by_seed_and_says_first_that_its_series_are_made(whole: Path) -> None:
    said = (whole / "said").read_text()
    assert said.startswith("MADE SERIES of the same shapes, 2 times shorter and fewer, in place of BasicMotions: ")
    rows = rows_of(whole / "runs" / "paper-classification.csv")
    assert [(row["engine"], row["seeds"]) for row in rows] == [("echoes", "2"), ("bptt", "2")]
    assert (whole / "runs" / "paper-classification.png").stat().st_size > 5000
    by_engine = {}
    for folder in run_folders(whole / "runs"):
        reader = RunReader(folder)
        by_engine.setdefault(reader.manifest["rig"], []).append(100 * reader.scalars()["accuracy"][-1])
    for row in rows:
        assert float(row["accuracy [%]"]) == pytest.approx(np.mean(by_engine[f"engine {row['engine']}"]))
    difference = float(rows[0]["accuracy [%]"]) - float(rows[1]["accuracy [%]"])
    assert float(rows[0]["minus BPTT"]) == pytest.approx(difference)
    assert rows[1]["minus BPTT"] == ""


def test_what_the_pages_print_is_what_these_tests_run() -> None:
    assert len(PRINTED) >= 2
    assert all(words == ["paper", "classification", *SMALL] for words in PRINTED)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
def test_killed_and_started_again_the_table_is_the_same_to_the_bit(whole: Path, tmp_path: Path) -> None:
    killed = tmp_path
    child = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=killed,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4]), "LABRHEL_STATE": str(killed / "state")},
        check=False,
        capture_output=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    left = [RunReader(folder).status for folder in run_folders(killed / "runs")]
    assert sorted(left) == ["done", "killed"]  # in the middle of the second of four trainings
    assert called(killed, "paper", "classification", *SMALL).returncode == 0
    names = [sorted(folder.name for folder in run_folders(root / "runs")) for root in (whole, killed)]
    assert names[0] == names[1]
    texts = [(root / "runs" / "paper-classification.csv").read_bytes() for root in (whole, killed)]
    assert texts[0] == texts[1]


KILLED = """
import os, signal
from pathlib import Path
from labrhel import plugins
from labrhel.records.tables import Asked

def kill(published):
    if published.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

asked = Asked(None, ("BasicMotions",), ("linear",), (), (0, 1), 3, 2)
plugins.paper_table("classification", asked).make(Path("runs"), kill)
"""


def test_a_real_set_in_the_folder_is_taken_and_is_another_training_than_the_made_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(24, 6, 40)).astype(np.float32), np.arange(24) % 4
    (tmp_path / "sets" / "BasicMotions").mkdir(parents=True)
    np.savez(tmp_path / "sets" / "BasicMotions" / "BasicMotions.npz", X_train=x, y_train=y, X_test=-x, y_test=y)
    words = ("--sets", "BasicMotions", "--units", "linear", "--engines", "adjoint", "--seeds", "3", "--steps", "1")
    done = called(tmp_path, "paper", "classification", "--data", "sets", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("data: BasicMotions, from sets\n")
    (row,) = rows_of(tmp_path / "runs" / "paper-classification.csv")
    assert (row["seeds"], row["sd"], row["minus BPTT"]) == ("1", "", "")
    (folder,) = run_folders(tmp_path / "runs")
    assert folder.name.startswith("BasicMotions-linear-adjoint-3-")
    np.savez(tmp_path / "sets" / "BasicMotions" / "BasicMotions.npz", X_train=2 * x, y_train=y, X_test=-x, y_test=y)
    assert called(tmp_path, "paper", "classification", "--data", "sets", *words).returncode == 0
    assert len(run_folders(tmp_path / "runs")) == 2  # other data: another training
    assert called(tmp_path, "resume", folder.name).returncode == 0  # and each is a run like any other


def test_the_heart_rate_is_made_too_and_its_error_is_that_of_the_record(tmp_path: Path) -> None:
    words = ("--engines", "difference", "--seeds", "0", "--steps", "1", "--shrink", "100", "--units", "damped")
    done = called(tmp_path, "paper", "regression", *words)
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(tmp_path / "runs" / "paper-regression.csv")
    (folder,) = run_folders(tmp_path / "runs")
    assert float(row["mean square error"]) == RunReader(folder).scalars()["mean_square_error"][-1]


def test_the_tables_of_the_paper_are_twelve_and_two_trainings_for_each_engine_and_seed() -> None:
    assert classification(Asked()).steps == 12 * 2 * 5 * 50
    assert regression(Asked()).steps == 2 * 2 * 5 * 50
    assert [name for name, row in PAPER.items() if not row.time_channel and row.in_paper] == [
        "EigenWorms",
        "EthanolConcentration",
        "MotorImagery",
    ]


def test_the_papers_nonlinear_units_begin_with_a_small_step_that_stays() -> None:
    table = classification(Asked(sets=("SelfRegulationSCP1",), shrink=50))
    models = [table.lines[0].source.document(unit, "echoes", 0, 1).config.model for unit in ("linear", "nonlinear")]
    assert [(model.hidden, model.step.initial, model.step.trained) for model in models] == [
        (64, None, True),
        (128, 1e-4, False),
    ]


def test_the_interval_of_a_paired_difference_is_students() -> None:
    differences = np.array([0.5, -1.0, 2.0, 0.25, np.nan, 1.0])
    known = differences[np.isfinite(differences)]
    mean, low, high = paired(differences)
    expected = ttest_1samp(known, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((known.mean(), expected.low, expected.high))
    assert paired(np.array([1.5, np.nan])) == (1.5, None, None)
    assert paired(np.array([np.nan])) == (None, None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pictures",), "there is no table 'pictures'; known are: "),
        (("classification", "--sets", "EigenWorm"), "there is no data set of this table 'EigenWorm'; "),
        (("regression", "--sets", "EigenWorms"), "there is no data set of this table 'EigenWorms'; "),
        (("classification", "--units", "quadratic"), "there is no unit 'quadratic'; "),
        (("classification", "--engines", "bppt"), "there is no engine 'bppt'; did you mean 'bptt'?"),
        (
            ("classification", "--seeds", "4..0"),
            "--seeds is a range such as 0..4, or numbers such as 0,1,5; not '4..0'",
        ),
        (("classification", "--steps", "0"), "--steps is 1 or more, not 0"),
        (("classification", "--data", "nowhere"), "there is no folder nowhere; --data names the one that holds"),
        (("classification", "--data", "."), "EigenWorms is not in . (EigenWorms/EigenWorms_TRAIN.ts, "),
        (("classification", "--data", ".", "--shrink", "3"), "--shrink is of made series"),
    ],
)
def test_bad_input_is_one_sentence_and_trains_nothing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = called(tmp_path, "paper", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
