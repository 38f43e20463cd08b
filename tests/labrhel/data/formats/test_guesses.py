"""What may be read in two ways is decided by the rest of the file, or refused: never a factor of 60 or 1000."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from labrhel.data.formats.interface import Pick, UnreadableError
from labrhel.data.formats.text.table import TextTable

COUNT = 40


def columns(file: Path, head: str, rows: Sequence[str]) -> list[np.ndarray]:
    file.write_text("\n".join([*head.splitlines(), *rows]) + "\n")
    table = TextTable()
    return table.read(file, [Pick(entry.name) for entry in table.contents(file).entries])


def of_day(index: int) -> str:
    return f"{13 + index // 12}:{index % 12 * 5:02d}"


@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("time,u", "2024-02-01 {}"), ("time,u", "2024-02-01T{}"), ("time,u", "2024-02-01T{}Z"),
        ("time;u", "01.02.2024 {}"), ("time,u", "13/2/2024 {}"), ("Date,Time,u", "2024-02-01,{}"),
        ("Datum;Zeit;u", "01.02.2024;{}"), ("Time,Date,u", "{},02/01/2024"), ("Date,Time,u", "20240201,{}"),
        ("time (hh:mm),u", "{}"), ("Time [HH:MM];u", "{}"),
    ],
)  # fmt: skip
def test_after_a_date_or_where_it_is_told_two_numbers_are_hours_and_minutes(
    head: str, form: str, tmp_path: Path
) -> None:
    separator = ";" if ";" in head else ","
    rows = [f"{form.format(of_day(index))}{separator}{index}.5" for index in range(COUNT)]
    (tmp_path / "lab.csv").write_text("\n".join([head, *rows]) + "\n")
    (axis,) = TextTable().contents(tmp_path / "lab.csv").times
    (times,) = TextTable().read(tmp_path / "lab.csv", [Pick(axis)])
    np.testing.assert_array_equal(np.diff(times), 300.0)


@pytest.mark.parametrize("form", ["{}:{:02d} PM", "2/13/2024 {}:{:02d} pm", "{:02d}:{:02d} p.m."])
def test_before_am_or_pm_two_numbers_are_hours_and_minutes(form: str, tmp_path: Path) -> None:
    rows = [f"{form.format(1 + index // 12, index % 12 * 5)},{index}.5" for index in range(COUNT)]
    times, _ = columns(tmp_path / "lab.csv", "time,u", rows)
    assert times[0] % 86400 == 13 * 3600
    np.testing.assert_array_equal(np.diff(times), 300.0)


@pytest.mark.parametrize("head", ["time,u", "clock,u", "time of day,u"])
def test_two_numbers_that_may_be_either_are_refused_with_what_to_write(head: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"'13:00' .* write \(hh:mm\) or \(mm:ss\) behind the name"):
        columns(tmp_path / "lab.csv", head, [f"{of_day(index)},{index}.5" for index in range(COUNT)])


def test_minutes_and_seconds_are_told_by_decimals_or_by_the_name(tmp_path: Path) -> None:
    told, _ = columns(tmp_path / "told.csv", "time (mm:ss),u", [f"01:{i:02d},{i}.5" for i in range(COUNT)])
    decimals, _ = columns(tmp_path / "decimals.csv", "time,u", [f"01:{i:02d}.0,{i}.5" for i in range(COUNT)])
    np.testing.assert_array_equal(told, 60.0 + np.arange(COUNT))
    np.testing.assert_array_equal(decimals, told)


def test_two_numbers_far_below_times_of_three_are_no_time(tmp_path: Path) -> None:
    rows = [f"00:{i // 60:02d}:{i % 60:02d},{i}.5" for i in range(100)]
    with pytest.raises(UnreadableError, match="line 92: '01:30' is no time"):
        columns(tmp_path / "lab.csv", "time,u", [*rows[:90], rows[90][3:], *rows[91:]])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("small", "signed"),
    [
        (lambda i: f"{i / 1000:.3f}", lambda i: f"{(-1) ** i * 0.125:.3f}"),
        (lambda i: f"{i * 0.125:.3f}", lambda i: f"{1 + i / 1000:.3f}"),
        (lambda i: f"{i / 1000:.3f}", lambda i: f"{i * 0.5:.1f}"),
        (lambda i: f"{i}", lambda i: f"{-(i + 1) / 1000:.3f}"),
    ],
)
def test_a_group_never_follows_a_zero_in_front_so_the_other_sign_is_decimal(
    separator: str, small, signed, tmp_path: Path
) -> None:
    for decimal in ".,":
        swapped = str.maketrans(".,", ".," if decimal == "." else ",.")
        rows = []
        for i in range(COUNT):
            cells = [cell.translate(swapped) for cell in (small(i), signed(i), f"{1000 + 50 * i:,d}")]
            rows.append(separator.join(f'"{cell}"' if separator in cell else cell for cell in cells))
        found = columns(tmp_path / "lab.csv", separator.join("tab"), rows)
        wanted = [[float(small(i)), float(signed(i)), 1000.0 + 50 * i] for i in range(COUNT)]
        np.testing.assert_array_equal(np.transpose(found), wanted)


def test_a_value_far_above_the_last_rows_decides_as_well(tmp_path: Path) -> None:
    rows = [f"{i / 100:.3f};{1 + i / 1000:.3f};1,{i % 900 + 100}" for i in range(999)]
    t, a, b = columns(tmp_path / "lab.csv", "t;a;b", rows)
    assert (t[-1], a[-1], b[0]) == (9.98, 1.998, 1100.0)


@pytest.mark.parametrize(
    "row",
    ['{0},"1,{1}","2,{1}"', "{0};1,{1};2.{1}", "{0}\t1,{1}\t2,{1}", '{0},1.{1},"2,{1}"', "{0};{1};{0},{1}"],
)
def test_a_sign_that_may_be_either_is_refused_with_what_to_write(row: str, tmp_path: Path) -> None:
    rows = [row.format(index + 1, index + 100) for index in range(COUNT)]
    if row.startswith("{0};{1}"):  # whole numbers in the same column as thousands
        rows[::2] = [f"{index + 1};1;{index + 900}" for index in range(0, COUNT, 2)]
    with pytest.raises(UnreadableError, match=r"may be 1?[0-9]+ as well as .* without groups of thousands"):
        columns(tmp_path / "lab.csv", "t;a;b".replace(";", row[3]), rows)


def test_three_decimals_alone_are_decimals_where_that_is_the_custom(tmp_path: Path) -> None:
    for name, separator, sign in (("point", ",", "."), ("blank", " ", "."), ("excel", ";", ",")):
        rows = [separator.join([str(i), f"1{sign}{i + 100}", f"2{sign}{i + 200}"]) for i in range(COUNT)]
        _, a, b = columns(tmp_path / f"{name}.csv", f"t{separator}a{separator}b", rows)
        assert (a[0], b[-1]) == (1.1, 2.239)


def stamps(form: str, days: Sequence[str]) -> list[str]:
    return [form.format(day, f"{index % 4 * 6:02d}:00:00", index) for day in days for index in range(4)]


@pytest.mark.parametrize(
    ("days", "step"),
    [
        ([f"{day:02d}/04/2026" for day in range(3, 16)], 6),  # the twelfth row decides for all before it
        ([f"04/{day:02d}/2026" for day in range(3, 16)], 6),
        ([f"{day}-4-2026" for day in range(3, 16)], 6), ([f"4-{day}-2026" for day in range(3, 16)], 6),
        ([f"{day:02d}.04.2026" for day in range(3, 9)], 6),  # points stand behind the day
        (["03/04/2026"], 6), (["04-03-2026"], 6),  # one day, whichever it is
    ],
)  # fmt: skip
def test_the_order_of_day_and_month_is_that_of_the_row_that_decides(
    days: list[str], step: float, tmp_path: Path
) -> None:
    times, _ = columns(tmp_path / "lab.csv", "time,u", stamps("{} {},{}.5", days))
    np.testing.assert_array_equal(np.diff(times), 3600.0 * step)


def test_a_row_behind_the_head_of_a_long_file_decides_as_well(tmp_path: Path) -> None:
    rows = [f"{day:02d}/04/2026 {m // 60:02d}:{m % 60:02d}:00,{m}.5" for day in range(3, 17) for m in range(1440)]
    times, _ = columns(tmp_path / "lab.csv", "time,u", rows)
    np.testing.assert_array_equal(np.diff(times), 60.0)


@pytest.mark.parametrize("sign", ["/", "-"])
def test_dates_whose_order_no_row_decides_are_refused_with_the_line(sign: str, tmp_path: Path) -> None:
    days = [f"{day:02d}{sign}04{sign}2026" for day in (3, 4, 5)]
    with pytest.raises(UnreadableError, match=r"line 6: in '04.04.2026' under 'time' the day may .* as 2026-04-03"):
        columns(tmp_path / "lab.csv", "time,u", stamps("{} {},{}.5", days))


def test_a_row_in_the_other_order_is_named(tmp_path: Path) -> None:
    days = ["13/04/2026", "14/04/2026", "04/15/2026"]
    with pytest.raises(UnreadableError, match="line 10: '04/15/2026 00:00:00' is no time, under 'time'"):
        columns(tmp_path / "lab.csv", "time,u", stamps("{} {},{}.5", days))
