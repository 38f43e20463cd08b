"""docs/bench-files.md names every key of the files of benches, as they are checked; and what it shows is a bench."""

import re
from pathlib import Path

import pytest

from labrhel.cli.key_tables import renewed
from labrhel.config import examples
from simbackend.virtual_bench import check_file

FILE = Path(__file__).parent.parent / "docs" / "bench-files.md"
PAGE = FILE.read_text(encoding="utf-8")


def test_the_tables_of_the_page_are_those_of_the_schemas() -> None:
    words = f"run `python -m labrhel.cli.key_tables {FILE.relative_to(FILE.parent.parent)}`, and read what changed"
    assert renewed(PAGE) == PAGE, words


@pytest.mark.parametrize("section", ["Station", "RigSection", "PortSection", "BenchSpec", "LeadSection"])
def test_every_section_has_its_table(section: str) -> None:
    assert len(re.findall(rf"<!-- keys of [\w.]+\.{section} -->\n\| key", PAGE)) == 1


def test_a_table_is_made_anew_where_it_was_changed_and_nothing_else_is() -> None:
    damaged = PAGE.replace("| `ring_down` |", "| `ring_dwon` |")
    assert damaged != PAGE
    assert renewed(damaged) == PAGE
    with pytest.raises(ValueError, match="there is no table 'of contents'"):
        renewed("<!-- of contents -->\n\n")


def test_the_virtual_bench_that_the_page_shows_is_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(model: my_model.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_model.yaml").write_text(examples()["coupled_oscillators"].read_text())
    (tmp_path / "bench.yaml").write_text(shown)
    check_file(tmp_path / "bench.yaml")
