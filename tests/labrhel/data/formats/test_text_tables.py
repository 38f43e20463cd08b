"""Tables of text as instruments, loggers, spreadsheets and people write them: right names, units, values and rates."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dialects import MAKERS, Maker
from benchmarks.recordings import end_of, made
from labrhel.data.formats.interface import Pick, UnreadableError
from labrhel.data.formats.text.naming import named
from labrhel.data.formats.text.table import TextTable

COUNT, STEP = 60, 2.5e-4
T = -0.002 + STEP * np.arange(COUNT)
U, Y = 0.3 * np.sin(0.2 * np.arange(COUNT)), 0.05 * np.cos(0.31 * np.arange(COUNT)) - 0.01
Rows = Callable[[int], str]


def table(head: str, row: Callable[..., str], end: str = "\n", tail: str = "") -> str:
    return head + "".join(row(i, T[i], U[i], Y[i]) + end for i in range(COUNT)) + tail


def comma(words: str) -> str:
    return words.replace(".", ",")


DIALECTS = {
    # name: (text, encoding, names of u and y, unit of u, unit of y, unit of time or None, interval of the header)
    "plain": (table("t,u,y\n", lambda i, t, u, y: f"{t:.6f},{u:.9f},{y:.9f}"), "utf-8", "u", "y", "", "", "", None),
    "byte order mark": (
        table("t;u;y\r\n", lambda i, t, u, y: f"{t:.6f};{u:.9f};{y:.9f}", "\r\n"),
        "utf-8-sig",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "excel in german": (
        table("sep=;\nZeit / ms;Ein / V;Aus / mV\n", lambda i, t, u, y: comma(f"{t * 1e3:.6f};{u:.9f};{y * 1e3:.6f}")),
        "cp1252",
        "Ein / V",
        "Aus / mV",
        "V",
        "mV",
        "ms",
        None,
    ),
    "all in micro behind a slash": (
        table("t / µs|Ein / µV|Aus / µV\n", lambda i, t, u, y: f"{t * 1e6:.3f}|{u * 1e6:.3f}|{y * 1e6:.3f}"),
        "cp1252",
        "Ein / µV",
        "Aus / µV",
        "µV",
        "µV",
        "µs",
        None,
    ),
    "utf-16 tabs": (
        table("Time [µs]\tIn [V]\tOut [µV]\n", lambda i, t, u, y: f"{t * 1e6:.3f}\t{u:.9f}\t{y * 1e6:.3f}"),
        "utf-16",
        "In [V]",
        "Out [µV]",
        "V",
        "µV",
        "µs",
        None,
    ),
    "old line ends": (
        table("t,u,y\r", lambda i, t, u, y: f"{t:.6f},{u:.9f},{y:.9f}", "\r"),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "all quoted": (
        table('"t","u","y"\n', lambda i, t, u, y: f'"{t:.6f}","{u:.9f}","{y:.9f}"'),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "quoted commas": (
        table('"t","u","y"\n', lambda i, t, u, y: ",".join(f'"{comma(f"{v:.9f}")}"' for v in (t, u, y))),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "blanks": (
        table("#    t        u        y\n", lambda i, t, u, y: f"{t:12.6f} {u:15.9f} {y:15.9f}"),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "gnuplot": (
        table("# made by hand\n# t u y\n", lambda i, t, u, y: f"{t:.6e} {u:.9e} {y:.9e}"),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "scope with two rows of names": (
        table("x-axis,1,2\nsecond,Volt,Volt\n", lambda i, t, u, y: f"{t:+.8E},{u:+.8E},{y:+.8E}"),
        "utf-8",
        "1",
        "2",
        "Volt",
        "Volt",
        "second",
        None,
    ),
    "scope with increments": (
        table(
            f"X,CH1,CH2,Start,Increment,\nSequence,VOLT,VOLT,{T[0]:e},{STEP:e}\n",
            lambda i, t, u, y: f"{i},{u:.8e},{y:.8e},",
        ),
        "utf-8",
        "CH1",
        "CH2",
        "VOLT",
        "VOLT",
        None,
        STEP,
    ),
    "scope with its start in the names": (
        table(
            f"CH1(V),CH2(mV),t0 ={T[0]:e}s, tInc = {STEP * 1e6:g}us,\n", lambda i, t, u, y: f"{u:.8e},{y * 1e3:.8e},,"
        ),
        "utf-8",
        "CH1(V)",
        "CH2(mV)",
        "V",
        "mV",
        None,
        STEP,
    ),
    "scope with a preamble beside the numbers": (
        table(
            "",
            lambda i, t, u, y: (
                (
                    [
                        "Record Length,60",
                        f"Sample Interval,{STEP:e}",
                        "Source,CH1",
                        "Vertical Units,mV",
                        "Horizontal Units,s",
                    ][i]
                    if i < 5
                    else ","
                )
                + f",,{t:020.12f},{u * 1e3:.6f},"
            ),
        ),
        "utf-8",
        "CH1",
        None,
        "mV",
        None,
        "s",
        STEP,
    ),
    "scope with a long preamble": (
        table(
            f"Model,MSO54\n\nVertical Units,V,,mV\nSample Interval,{STEP:e},,{STEP:e}\nLabel,,,\nTIME,CH1,CH2\n",
            lambda i, t, u, y: f"{t:.9e},{u:.9e},{y * 1e3:.9e}",
        ),
        "utf-8",
        "CH1",
        "CH2",
        "V",
        "mV",
        "",
        STEP,
    ),
    "units in a row of brackets": (
        table("Time,Channel A,Channel B\n(ms),(V),(mV)\n\n", lambda i, t, u, y: f"{t * 1e3:.6f},{u:.9f},{y * 1e3:.6f}"),
        "utf-8-sig",
        "Channel A",
        "Channel B",
        "V",
        "mV",
        "ms",
        None,
    ),
    "units in words": (
        table("in s,CH1 in V,CH2 in mV\n", lambda i, t, u, y: f"{t:.6E},{u:.9E},{y * 1e3:.9E}"),
        "utf-8",
        "CH1 in V",
        "CH2 in mV",
        "V",
        "mV",
        "s",
        None,
    ),
    "a unit behind the name": (
        table("t_ms,drive_mV,angle_mV\n", lambda i, t, u, y: f"{t * 1e3:.6f},{u * 1e3:.6f},{y * 1e3:.6f}"),
        "utf-8",
        "drive_mV",
        "angle_mV",
        "mV",
        "mV",
        "ms",
        None,
    ),
    "LabVIEW measurement": (
        table(
            "LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\nDecimal_Separator\t,\n"
            "***End_of_Header***\t\n\t\n"
            "Channels\t2\t\t\nSamples\t60\t60\t\nY_Unit_Label\tVolts\tVolts\t\nX0\t0,0E+0\t0,0E+0\t\n"
            + comma(f"Delta_X\t{STEP:e}\t{STEP:e}\t\n")
            + "***End_of_Header***\t\t\t\nX_Value\tDrive\tAngle\tComment\n",
            lambda i, t, u, y: comma(f"{t:.6f}\t{u:.9f}\t{y:.9f}"),
        ),
        "cp1252",
        "Drive",
        "Angle",
        "Volts",
        "Volts",
        "",
        STEP,
    ),
    "a recorder with names in its preamble": (
        table(
            '"Model","DLM"\n"TraceName","CH1","CH2"\n"VUnit","V","mV"\n'
            f'"SampleRate",{1 / STEP},{1 / STEP}\n"HUnit","s","s"\n\n',
            lambda i, t, u, y: f",{u:.8E},{y * 1e3:.8E}",
        ),
        "utf-8",
        "CH1",
        "CH2",
        "V",
        "mV",
        None,
        STEP,
    ),
    "a sampling rate in words": (
        table("Sampling rate: 4.0 kSa/s\nu;y\n", lambda i, t, u, y: f"{u:.9f};{y:.9f}"),
        "utf-8",
        "u",
        "y",
        "",
        "",
        None,
        STEP,
    ),
    "grouped thousands": (
        table("t [us];u [uV];y [uV]\n", lambda i, t, u, y: f"{t * 1e6:,.3f};{u * 1e6:,.3f};{y * 1e6:,.3f}"),
        "utf-8",
        "u [uV]",
        "y [uV]",
        "uV",
        "uV",
        "us",
        None,
    ),
    "an index without a name": (
        table(",t,u,y\n", lambda i, t, u, y: f"{i},{t:.6f},{u:.9f},{y:.9f}"),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "a sum below": (
        table("t,u,y\n", lambda i, t, u, y: f"{t:.6f},{u:.9f},{y:.9f}", tail="\nEnd of data\n"),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "lines of commas below": (
        table("t,u,y\n", lambda i, t, u, y: f"{t:.6f},{u:.9f},{y:.9f}", tail=",,\n,,\n"),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
    "a minus of typographers": (
        table("t\tu\ty\n", lambda i, t, u, y: f"{t:.6f}\t{u:.9f}\t{y:.9f}".replace("-", "\u2212")),
        "utf-8",
        "u",
        "y",
        "",
        "",
        "",
        None,
    ),
}
FACTORS = {"": 1.0, "V": 1.0, "Volt": 1.0, "VOLT": 1.0, "Volts": 1.0, "mV": 1e3, "µV": 1e6, "uV": 1e6}
PER_SECOND = {"": 1.0, "s": 1.0, "second": 1.0, "ms": 1e3, "µs": 1e6, "us": 1e6}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_read_as_it_was_meant(name: str, tmp_path: Path) -> None:
    text, encoding, u, y, u_unit, y_unit, t_unit, interval = DIALECTS[name]
    file = tmp_path / "lab.csv"
    file.write_bytes(text.encode(encoding))
    listing = TextTable().contents(file)
    entries = {entry.name: entry for entry in listing.entries}
    assert {entry.shape for entry in listing.entries} == {(COUNT,)}
    for column, unit, truth in ((u, u_unit, U), (y, y_unit, Y)):
        if column is None:
            continue
        assert entries[column].unit == unit
        (values,) = TextTable().read(file, [Pick(column)])
        np.testing.assert_allclose(values / FACTORS[unit], truth, rtol=0, atol=2e-9)
        (part,) = TextTable().read(file, [Pick(column, (slice(7, 11),))])
        np.testing.assert_array_equal(part, values[7:11])
    assert listing.interval == (None if interval is None else pytest.approx(interval))
    if t_unit is None:
        assert listing.times == ()
    else:
        (time,) = listing.times
        assert entries[time].unit == t_unit
        (values,) = TextTable().read(file, [Pick(time)])
        np.testing.assert_allclose(values / PER_SECOND[t_unit], T, rtol=0, atol=1e-9)


def refusal(file: Path) -> str:
    reader = TextTable()
    with pytest.raises(UnreadableError) as caught:
        reader.read(file, [Pick(entry.name) for entry in reader.contents(file).entries])
    return str(caught.value)


@pytest.mark.parametrize("line", [1, 2, 7, 59, 60])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda line: line.replace(",", ",x", 1), "'x"),
        (lambda line: line.rpartition(",")[0], "it has 2 values, where the others have 3"),
        (lambda line: line + ",0.5", "it has 4 values, where the others have 3"),
        (lambda line: line.replace(".", "..", 1), "is not a number"),
        (lambda line: line.replace(",", ";"), "line"),
    ],
)
def test_a_line_that_does_not_fit_is_named_wherever_it_stands(
    line: int, damage: Callable[[str], str], words: str, tmp_path: Path
) -> None:
    lines = DIALECTS["plain"][0].splitlines()
    lines[line] = damage(lines[line])
    (tmp_path / "lab.csv").write_text("\n".join(lines) + "\n")
    said = refusal(tmp_path / "lab.csv")
    assert f"line {line + 1}" in said
    assert words in said


@pytest.mark.parametrize(
    ("mark", "value"),
    [("", math.nan), ("NaN", math.nan), ("---", math.nan), ("OL", math.inf), ("-∞", -math.inf), ("****", math.nan)],
)
@pytest.mark.parametrize("line", [1, 30, 60])
def test_marks_for_missing_and_overloaded_values_are_no_numbers_and_no_damage(
    mark: str, value: float, line: int, tmp_path: Path
) -> None:
    lines = DIALECTS["plain"][0].splitlines()
    t, _, y = lines[line].split(",")
    lines[line] = f"{t},{mark},{y}"
    (tmp_path / "lab.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    u, y = TextTable().read(tmp_path / "lab.csv", [Pick("u"), Pick("y")])
    np.testing.assert_equal(u[line - 1], value)
    assert np.isfinite(np.delete(u, line - 1)).all()
    np.testing.assert_allclose(y, Y, atol=1e-9)


def test_a_file_that_ends_within_a_number_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text(DIALECTS["plain"][0].rstrip("\n")[:-3])
    assert "line 61, the last, is cut short" in refusal(tmp_path / "lab.csv")


def test_binary_zeros_and_lines_without_end_are_named(tmp_path: Path) -> None:
    text = DIALECTS["plain"][0]
    (tmp_path / "zeros.csv").write_bytes(text[:400].encode() + b"\0" + text[400:].encode())
    assert "holds binary zeros" in refusal(tmp_path / "zeros.csv")
    (tmp_path / "long.csv").write_text("1" * 3_000_000)
    assert "line 1 does not end" in refusal(tmp_path / "long.csv")


def test_two_recordings_in_one_file_are_not_taken_as_one(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text(2 * DIALECTS["plain"][0])
    assert "line 62" in refusal(tmp_path / "lab.csv")


def test_names_that_stand_twice_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("Second,Volt,Volt\n" + DIALECTS["plain"][0].partition("\n")[2])
    listing = TextTable().contents(tmp_path / "lab.csv")
    assert [(e.name, e.unit) for e in listing.entries] == [("Second", "Second"), ("Volt", "Volt"), ("Volt_1", "Volt")]


def test_the_first_sample_may_be_whole_numbers(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("0,1\n0.1,0.995\n0.2,0.98\n0.3,0.955\n")
    listing = TextTable().contents(tmp_path / "lab.csv")
    assert [(e.name, e.shape) for e in listing.entries] == [("column 1", (4,)), ("column 2", (4,))]


def test_a_clock_is_an_axis_of_time_whatever_its_column_is_called(tmp_path: Path) -> None:
    text = table("stamp,u,y\n", lambda i, t, u, y: f"2026-11-29 12:00:{i * STEP:09.6f},{u:.9f},{y:.9f}")
    (tmp_path / "lab.csv").write_text(text)
    listing = TextTable().contents(tmp_path / "lab.csv")
    assert listing.times == ("stamp",)
    assert [(entry.kind, entry.unit) for entry in listing.entries] == [("f", "s"), ("f", ""), ("f", "")]
    stamps, u = TextTable().read(tmp_path / "lab.csv", [Pick("stamp"), Pick("u")])
    np.testing.assert_allclose(np.diff(stamps), STEP, rtol=0, atol=1e-9)
    np.testing.assert_allclose(u, U, rtol=0, atol=2e-9)


def test_a_clock_without_dates_passes_midnight_in_whatever_parts_it_is_read(tmp_path: Path) -> None:
    rows = [f"23:59:5{second}.000,{second}" for second in range(5, 10)]
    rows += [f"00:00:0{second}.000,{second}" for second in range(5)]
    (tmp_path / "lab.csv").write_text("\n".join(["stamp,u", *rows]) + "\n")
    (whole,) = TextTable().read(tmp_path / "lab.csv", [Pick("stamp")])
    np.testing.assert_allclose(np.diff(whole), 1.0)
    (part,) = TextTable().read(tmp_path / "lab.csv", [Pick("stamp", (slice(7, 10),))])
    np.testing.assert_array_equal(part, whole[7:])


def test_nanoseconds_since_1970_keep_their_differences(tmp_path: Path) -> None:
    rows = [f"{1_764_460_800_000_000_000 + 100 * index},{index}.5" for index in range(20)]
    (tmp_path / "lab.csv").write_text("\n".join(["timestamp,u", *rows]) + "\n")
    listing = TextTable().contents(tmp_path / "lab.csv")
    assert [(entry.name, entry.unit) for entry in listing.entries] == [("timestamp", "ns"), ("u", "")]
    (stamps,) = TextTable().read(tmp_path / "lab.csv", [Pick("timestamp")])
    np.testing.assert_array_equal(np.diff(stamps), 100.0)


def test_an_error_of_a_spreadsheet_at_the_begin_of_a_row_is_no_comment(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("u,y\n0.1,0.2\n#N/A,0.3\n0.4,0.5\n# a word\n0.6,0.7\n")
    u, y = TextTable().read(tmp_path / "lab.csv", [Pick("u"), Pick("y")])
    np.testing.assert_array_equal(u, [0.1, math.nan, 0.4, 0.6])
    np.testing.assert_array_equal(y, [0.2, 0.3, 0.5, 0.7])


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("drive (mV) filtered", "mV"), ("drive [mV] (raw)", "mV"), ("U (mV).1", "mV"), ("U [in mV]", "mV"),
        ("U (mV, AC)", "mV"), ("u_mv", "mv"), ("u.mV", "mV"), ("U - mV", "mV"), ("(mV) U", "mV"),
        ("101 (mVDC)", "mVDC"), ("U (mVAC)", "mVAC"), ("u_millivolts", "millivolts"), ("CH1 (10 mV/div)", "10 mV/div"),
        ("U (x1e-3 V)", "x1e-3 V"),
        ("V(s)", ""), ("V(v)", ""), ("I(m)", ""), ("V(out)", ""), ("V(mV)", "mV"), ("x_min", ""), ("f(t)", ""),
    ],
)  # fmt: skip
def test_a_unit_is_found_where_people_put_it_and_not_where_circuits_have_nodes(name: str, unit: str) -> None:
    assert named(name).unit == unit


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_what_instruments_and_programs_write_is_read_as_they_meant_it(maker: Maker, tmp_path: Path) -> None:
    numbers = [10 * draw + 2 for draw in range(MAKERS.index(maker), 200, len(MAKERS))]
    for number in [number for number in numbers if number % 3 != 2][:3]:  # the others are damaged
        file = made(number, tmp_path)
        end = end_of(file)
        assert end == "right" or (file.refusable and "line " in end), end
