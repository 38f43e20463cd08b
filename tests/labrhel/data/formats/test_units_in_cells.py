"""Numbers that have their units beside them, cell by cell: read with it where all agree, refused by line where not."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.data.formats.interface import Entry, Pick, UnreadableError
from labrhel.data.formats.text.table import TextTable

COUNT = 40


def read(folder: Path, head: str, form: str, cells: list[str], encoding: str = "utf-8") -> tuple[Entry, np.ndarray]:
    """The column behind a time, in steps of 0.5."""
    time = [f"{index * 0.5:.1f}".replace(".", "," if ";" in head else ".") for index in range(len(cells))]
    rows = [form.format(one, cell) for one, cell in zip(time, cells, strict=True)]
    (folder / "lab.csv").write_text("\n".join([head, *rows]) + "\n", encoding=encoding)
    entry = TextTable().contents(folder / "lab.csv").entries[-1]
    (found,) = TextTable().read(folder / "lab.csv", [Pick(entry.name)])
    return entry, found


VALUES = np.random.default_rng(0).normal(scale=0.3, size=COUNT)


@pytest.mark.parametrize(
    ("unit", "size", "form"),
    [
        ("mV", 1e-3, "{:.6f} mV"), ("mV", 1e-3, "{:.6f}mV"), ("V", 1.0, "{:.9e} V"), ("µV", 1e-6, "{:.3f} µV"),
        ("mA", 1e-3, "{:.6f} mA"), ("kHz", 1e3, "{:.12f} kHz"), ("%", 1.0, "{:.9f} %"), ("%", 1.0, "{:.9f}%"),
        ("ms", 1e-3, "{:.6f} ms"), ("Volt", 1.0, "{:.9f} Volt"), ("counts", 1.0, "{:.7f} counts"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sign", [".", ","])
def test_a_unit_that_all_cells_have_is_that_of_the_column(
    unit: str, size: float, form: str, sign: str, tmp_path: Path
) -> None:
    cells = [form.format(value / size).replace(".", sign) for value in VALUES]
    entry, found = read(tmp_path, *(("t;u", "{};{}") if sign == "," else ("t,u", "{},{}")), cells)
    assert (entry.kind, entry.unit) == ("f", unit)
    np.testing.assert_allclose(found * size, VALUES, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("units", "base"),
    [
        ((("mV", 1e-3), ("V", 1.0), ("µV", 1e-6)), "V"), ((("kHz", 1e3), ("Hz", 1.0), ("MHz", 1e6)), "Hz"),
        ((("k", 1e3), ("M", 1e6), ("", 1.0)), ""), ((("m", 1e-3), ("k", 1e3), ("", 1.0)), ""),
        ((("mm", 1e-3), ("m", 1.0)), "m"),
    ],
)  # fmt: skip
def test_prefixes_may_differ_from_cell_to_cell(units: tuple[tuple[str, float], ...], base: str, tmp_path: Path) -> None:
    chosen = [units[index % len(units)] for index in range(COUNT)]
    cells = [f"{value / size:.15f} {unit}" for value, (unit, size) in zip(VALUES, chosen, strict=True)]
    entry, found = read(tmp_path, "t,u", "{},{}", cells)
    assert (entry.kind, entry.unit) == ("f", base)
    np.testing.assert_allclose(found, VALUES, rtol=1e-3, atol=1e-9)


def test_a_unit_above_the_column_is_the_one_that_cells_are_converted_to(tmp_path: Path) -> None:
    cells = [f"{value:.9f} V" if index % 2 else f"{1e3 * value:.6f} mV" for index, value in enumerate(VALUES)]
    entry, found = read(tmp_path, "t,u (mV)", "{},{}", cells)
    assert entry.unit == "mV"
    np.testing.assert_allclose(found, 1e3 * VALUES, rtol=1e-6, atol=1e-6)
    entry, found = read(tmp_path, "t,u (V)", "{},{}", [f"{1e3 * value:.6f}m" for value in VALUES])
    assert entry.unit == "V"
    np.testing.assert_allclose(found, VALUES, rtol=1e-6, atol=1e-9)


def test_marks_for_overload_and_what_is_missing_stand_beside_and_so_does_zero(tmp_path: Path) -> None:
    cells = [f"{value:.6f} V" for value in VALUES]
    cells[3:6] = ["OL", "---", "0"]
    entry, found = read(tmp_path, "t,u", "{},{}", cells)
    assert entry.unit == "V"
    assert np.isposinf(found[3])
    assert np.isnan(found[4])
    assert found[5] == 0
    np.testing.assert_allclose(found[6:], VALUES[6:], atol=1e-6)


def test_times_with_units_are_an_axis_also_where_every_column_has_units(tmp_path: Path) -> None:
    rows = [f"{0.5 * index:.1f} ms,{value:.6f} V" for index, value in enumerate(VALUES)]
    (tmp_path / "lab.csv").write_text("\n".join(["t,u", *rows]) + "\n")
    listing = TextTable().contents(tmp_path / "lab.csv")
    assert listing.times == ("t",)
    assert [entry.unit for entry in listing.entries] == ["ms", "V"]
    times, found = TextTable().read(tmp_path / "lab.csv", [Pick("t"), Pick("u")])
    np.testing.assert_allclose(np.diff(times), 0.5)
    np.testing.assert_allclose(found, VALUES, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "cell", "words"),
    [
        (7, "0.013 A", "line 9: '0.013 A' is a current, where other numbers are in mV, under 'u'"),
        (7, "0.013", "line 9: '0.013' has no unit, where other numbers are in mV, under 'u'"),
        (37, "12.3 m", "line 39: '12.3 m' is a length, where other numbers are in mV, under 'u'"),
        (37, "4.7k", "line 39: '4.7k' is a number with a prefix alone, where other numbers are in mV, under 'u'"),
        (7, "5 %", "line 9: '5 %' is in %, where other numbers are in mV, under 'u'"),
    ],
)
def test_what_does_not_agree_is_refused_with_its_line(row: int, cell: str, words: str, tmp_path: Path) -> None:
    cells = [f"{1e3 * value:.6f} mV" for value in VALUES]
    cells[row] = cell
    with pytest.raises(UnreadableError) as refused:
        read(tmp_path, "t,u", "{},{}", cells)
    assert str(refused.value) == words


def test_a_letter_that_may_be_milli_or_metres_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(
        UnreadableError, match="'m' behind the numbers under 'u' may be a prefix, or metres: write the "
    ):
        read(tmp_path, "t,u", "{},{}", [f"{value:.6f} m" for value in VALUES])


def test_thousands_and_decimals_of_three_digits_are_told_apart_behind_units_too(tmp_path: Path) -> None:
    (tmp_path / "whole.csv").write_text("t;u\n" + "".join(f"{i};1,250 mV\n{i}5;950 mV\n" for i in range(1, 30)))
    with pytest.raises(UnreadableError, match=r"may be 1250 as well as 1\.250"):
        TextTable().contents(tmp_path / "whole.csv")
    _, found = read(tmp_path, "t;u", "{};{}", ["1.250,5 mV", "950 mV"] * 20)
    np.testing.assert_array_equal(found, [1250.5, 950.0] * 20)


def test_words_behind_numbers_that_are_no_units_leave_a_column_of_text(tmp_path: Path) -> None:
    rows = [f"{0.5 * index},{value:.6f},{index} apples" for index, value in enumerate(VALUES)]
    (tmp_path / "lab.csv").write_text("\n".join(["t,u,what", *rows]) + "\n")
    assert [entry.kind for entry in TextTable().contents(tmp_path / "lab.csv").entries] == ["f", "f", "S"]


@pytest.mark.parametrize("late", [1, 30])
@pytest.mark.parametrize(
    "form", ["{},{} mV", "{},{}mV", "{};{} mV", "{}\t{} mV", "{} {}mV", "{} {} mV", "{},{},{}00 mV"]
)
@pytest.mark.parametrize("head", ["t (s),v\n", ""])
def test_last_rows_without_a_unit_are_named_and_never_the_whole_table(
    head: str, form: str, late: int, tmp_path: Path
) -> None:
    """To decimal commas they are one column, and all rows above them its preamble."""
    sign = next(sign for sign in ",;\t " if sign in form)
    rows = [form.format(index, 10 * index, index) for index in range(1, 60)]
    rows += [
        form.removesuffix(" mV").removesuffix("mV").format(index, 10 * index, index) for index in range(60, 60 + late)
    ]
    names = sign.join("tvw"[: len(rows[-1].split(sign))])
    (tmp_path / "lab.csv").write_text((head and names + "\n") + "\n".join(rows) + "\n")
    line = 60 + bool(head)
    apart = r"line \d+ does not fit: it has [23] values"  # where blanks separate cells, too, rows have two and three
    with pytest.raises(UnreadableError, match=apart if form == "{} {} mV" else rf"line ({line}|{line + late - 1})\b"):
        found = TextTable().contents(tmp_path / "lab.csv")
        TextTable().read(tmp_path / "lab.csv", [Pick(entry.name) for entry in found.entries])


def test_numbers_with_and_without_a_prefix_are_a_list_of_values_wherever_the_plain_ones_stand(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("n,ohms\n0,4.7k\n1,5.2\n2,10\n3,1\n")
    np.testing.assert_array_equal(TextTable().read(tmp_path / "lab.csv", [Pick("ohms")])[0], [4700, 5.2, 10, 1])


def test_rows_above_with_something_behind_their_numbers_are_rows_and_no_preamble(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("t,v\n0,1.5E\n1,2E\n2,3\n")
    assert [(entry.name, entry.shape, entry.kind) for entry in TextTable().contents(tmp_path / "lab.csv").entries] == [
        ("t", (3,), "f"), ("v", (3,), "S"),
    ]  # fmt: skip


@pytest.mark.parametrize("head", ["Range 3,40 mV\n12:30\n", "3,40 mV\n"])
def test_a_column_of_decimal_commas_keeps_a_preamble_that_is_none_of_it(head: str, tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text(head + "U\n1,5\n2,5\n3,5\n")
    np.testing.assert_array_equal(TextTable().read(tmp_path / "lab.csv", [Pick("U")])[0], [1.5, 2.5, 3.5])


@pytest.mark.parametrize("head", ["t,u [mV]\n", "t,u\ns,mV\n"])
@pytest.mark.parametrize("place", [0, 20, 39])
def test_a_number_without_a_unit_may_be_in_that_above_or_that_beside_it(head: str, place: int, tmp_path: Path) -> None:
    cells = [f"{value:.6f} V" for value in VALUES]
    cells[place] = "1"
    line = place + 2 + head.count("\n") - 1
    with pytest.raises(
        UnreadableError, match=rf"line {line}: '1' has no unit, and may be in V as .* or in mV as the col"
    ):
        read(tmp_path, head.rstrip(), "{},{}", cells)


def test_numbers_without_a_unit_are_in_the_one_above_where_all_others_say_it_too(tmp_path: Path) -> None:
    cells = ["5.5 mV", "6.5", *["7.5 mV"] * 78]
    _, found = read(tmp_path, "t,u [mV]", "{},{}", cells)
    np.testing.assert_array_equal(found[:3], [5.5, 6.5, 7.5])
    with pytest.raises(UnreadableError, match=r"line 82: '1\.5 V' is not in mV, where numbers without a unit are"):
        read(tmp_path, "t,u [mV]", "{},{}", [*cells, "1.5 V"])


def test_prefixes_alone_multiply_the_unit_above_and_numbers_without_are_in_it(tmp_path: Path) -> None:
    _, found = read(tmp_path, "t,r (Ohm)", "{},{}", ["4.7k", "1000", "1M", "2.2", "10"])
    np.testing.assert_array_equal(found, [4700, 1000, 1e6, 2.2, 10])


def test_ohms_are_read_however_they_are_typed_and_4k7_says_how_to_write_it(tmp_path: Path) -> None:
    entry, found = read(tmp_path, "t,r", "{},{}", ["1 kOhm", "1000 Ω", "1 MOhm", "2 ohms", "5 mohm"])
    assert entry.unit == "Ω"
    np.testing.assert_allclose(found, [1000, 1000, 1e6, 2, 5e-3])
    with pytest.raises(UnreadableError, match=r"line 3 does not fit: '4k7' is not a number: write 4\.7k"):
        read(tmp_path, "t,r", "{},{}", ["4.7k", "4k7", "10k", "1M", "470"])


def test_words_below_a_table_do_not_decide_how_its_cells_are_told_apart(tmp_path: Path) -> None:
    rows = [f"{index},{10 * index} mV" for index in range(1, 30)]
    (tmp_path / "lab.csv").write_text("\n".join(["t (s),v", *rows, "30,400", "End of data"]) + "\n")
    with pytest.raises(UnreadableError, match="line 31: '400' has no unit, where other numbers are in mV, under 'v'"):
        TextTable().read(tmp_path / "lab.csv", [Pick("v")])


def test_rows_of_numbers_and_words_are_no_preamble_of_the_last_rows(tmp_path: Path) -> None:
    rows = [f"{index},state{index}" for index in range(30)]
    (tmp_path / "lab.csv").write_text("\n".join(["t,v", *rows, "30,300", "31,310"]) + "\n")
    assert [entry.shape for entry in TextTable().contents(tmp_path / "lab.csv").entries] == [(32,), (32,)]
