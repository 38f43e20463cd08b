"""Two checkouts are compared by what their benchmarks print, run in turn."""

import re
from pathlib import Path

import pytest

from benchmarks import against

TABLE = """target                   figure   met
a step <= 1.5 times      1.44 times    yes
  milliseconds of each   374 and 261 ms; 0.38 MB  -
recorded >= 150 MB/s     200 MB/s  yes

nonlinear, 3 rounds
                                       us/step   fastest
echoes                                   56.10     55.00
echoes                                   70.00     69.00
skipped                  skipped: JAX is not installed  -
"""


def test_the_first_number_of_each_line_is_read_and_a_rate_turned_over() -> None:
    assert against.numbers(TABLE) == {
        "a step <= 1.5 times": 1.44,
        "milliseconds of each": 374.0,
        "recorded >= 150 MB/s": 1 / 200,
        "echoes": 56.1,
        "echoes (2)": 70.0,
    }


def test_the_interval_of_a_ratio_is_that_of_student() -> None:
    pairs = [({"a": 1.1, "b": 1.0}, {"a": 1.0}), ({"a": 1.0, "b": 1.0}, {"a": 1.0}), ({"a": 1.2}, {"a": 1.0})]
    (figure,) = against.compared(pairs, 5.0)
    assert figure.value == "1.097 times [0.875, 1.376]" and figure.met is False
    assert next(against.compared(pairs, 40.0)).met is True


@pytest.mark.parametrize(("there", "status"), [(2.0, 0), (0.5, 1)])
def test_a_checkout_that_is_slower_than_the_other_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there: float, status: int
) -> None:
    for name, value in (("here", 1.0), ("there", there)):
        folder = tmp_path / name / "benchmarks"
        folder.mkdir(parents=True)
        (folder / "quick.py").write_text(f"import sys\nprint('of', sys.argv[1], '  {value} s')\n")
    monkeypatch.setattr(against, "_HERE", tmp_path / "here")
    assert against.main([str(tmp_path / "there"), "quick", "--pairs", "2", "--size=3"]) == status
    assert re.search(rf"of --size=3 +{1 / there:.3f} times", capsys.readouterr().out)


def test_a_benchmark_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"benchmarks\.absent gives no figures: .*No module named"):
        against.main([str(tmp_path), "absent", "--pairs", "2"])
    with pytest.raises(SystemExit, match="2"):
        against.main([str(tmp_path), "absent", "--pairs", "1"])
