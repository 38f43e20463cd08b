"""Tables of a few dozen rows, with what instruments write above them and people below."""

import math
from pathlib import Path

import numpy as np
import pytest

from labrhel.data.formats.interface import Pick, UnreadableError
from labrhel.data.formats.text.table import TextTable

ROWS = [f"{index},{3 * index}.25,{index}.5" for index in range(40)]


def listed(file: Path, text: str) -> list[tuple[str, str, int]]:
    file.write_text(text)
    return [(entry.name, entry.unit, entry.shape[0]) for entry in TextTable().contents(file).entries]


@pytest.mark.parametrize("end", ["", ","])
@pytest.mark.parametrize("count", [3, 20, 40])
def test_a_row_of_units_with_start_and_increment_is_none_of_a_short_table(end: str, count: int, tmp_path: Path) -> None:
    head = f"X,CH1,CH2,Start,Increment{end}\nSequence,VOLT,mV,-1.0e-3,2.0e-6\n"
    found = listed(tmp_path / "lab.csv", head + "".join(f"{row},,\n" for row in ROWS[:count]))
    assert found == [("X", "", count), ("CH1", "VOLT", count), ("CH2", "mV", count)]
    assert TextTable().contents(tmp_path / "lab.csv").interval == 2e-6


def test_a_preamble_beside_a_short_table_is_none_of_its_columns(tmp_path: Path) -> None:
    beside = ["Record Length,30,", "Sample Interval,1e-6,", "Vertical Units,mV,", "Horizontal Units,s,"] + [",,"] * 26
    text = "".join(f"{words},{index * 1e-6:.6f},{index}.5\n" for index, words in enumerate(beside))
    assert listed(tmp_path / "lab.csv", text) == [("column 1", "s", 30), ("column 2", "mV", 30)]


@pytest.mark.parametrize(
    "statistics", ["Frequency,,\nPK-PK,3,4\n", "Mean,0.1,0.2\n", "Vpp,3.5,4\nPeriod,1e-3,\nRise time,?,?\n"]
)
def test_statistics_above_a_table_name_no_columns_and_units_of_columns_count_first(
    statistics: str, tmp_path: Path
) -> None:
    head = "Unit:(mV)\n,CH1_Voltage(mV),CH2_Voltage(V)\n" + statistics
    found = listed(tmp_path / "lab.csv", head + "\n".join(ROWS) + "\n")
    assert found == [("column 1", "", 40), ("CH1_Voltage(mV)", "mV", 40), ("CH2_Voltage(V)", "V", 40)]


@pytest.mark.parametrize(
    "rows", [[f"{v:.2f},{v / 8:.2f}" for v in values] for values in ([0, 0, 1, 0, 2] * 8, range(40))]
)
def test_names_that_are_fewer_than_the_columns_make_no_channel_the_time(rows: list[str], tmp_path: Path) -> None:
    head = "#CHANNEL:CH1\n#CLOCK=1.0uS\n#SIZE=40\n#UNITS:mV\n\n"
    found = listed(tmp_path / "lab.csv", head + "\n".join(rows) + "\n")
    assert found == [("column 1", "", 40), ("column 2", "", 40)]
    listing = TextTable().contents(tmp_path / "lab.csv")
    assert (listing.times, listing.interval) == ((), 1e-6)


def test_a_column_in_steps_of_the_interval_is_the_time_before_the_one_channel(tmp_path: Path) -> None:
    rows = [f"{index * 1e-6:.6e},{index % 7}.5" for index in range(40)]
    found = listed(tmp_path / "lab.csv", "#CHANNEL:CH1\n#CLOCK=1.0uS\n#UNITS:mV\n\n" + "\n".join(rows) + "\n")
    assert [(name, unit) for name, unit, _ in found] == [("time", ""), ("CH1", "mV")]


@pytest.mark.parametrize("head", ["t,a,b\n", "t (ms),a,b\n", "sample,a,b\n", ""])
@pytest.mark.parametrize("below", ["\n19.5,19.5,3\n", "\n# means\n19.5,19.5,3\n0,117.25,39.5\n", "\n\n39,1,1\n\n"])
def test_a_row_behind_an_empty_line_that_goes_back_in_time_is_no_sample(head: str, below: str, tmp_path: Path) -> None:
    found = listed(tmp_path / "lab.csv", head + "\n".join(ROWS) + "\n" + below)
    assert [count for _, _, count in found] == [40, 40, 40]
    (last,) = TextTable().read(tmp_path / "lab.csv", [Pick(found[2][0])])
    assert (len(last), last[-1]) == (40, 39.5)


def test_a_second_table_behind_an_empty_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="line 43 begins another table, behind an empty line"):
        listed(tmp_path / "lab.csv", "t,a,b\n" + "\n".join([*ROWS, "", *ROWS]) + "\n")


def test_a_table_goes_on_behind_empty_lines_where_its_time_does(tmp_path: Path) -> None:
    assert listed(tmp_path / "lab.csv", "t,a,b\n" + "\n".join([*ROWS[:20], "", *ROWS[20:]]) + "\n")[0] == ("t", "", 40)
    waves = [f"{math.sin(index):.6f},{math.cos(index):.6f}" for index in range(40)]
    assert listed(tmp_path / "waves.csv", "a,b\n" + "\n\n".join(waves) + "\n")[0] == ("a", "", 40)
    clock = [f"{'23:59' if index < 20 else '00:00'}:{(index + 40) % 60:02d},{index}" for index in range(40)]
    text = "stamp,a\n" + "\n".join([*clock[:20], "", *clock[20:]]) + "\n"
    assert listed(tmp_path / "clock.csv", text)[0] == ("stamp", "s", 40)
    (stamps,) = TextTable().read(tmp_path / "clock.csv", [Pick("stamp")])
    np.testing.assert_array_equal(np.diff(stamps), 1.0)
