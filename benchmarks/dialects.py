"""Text as instruments, loggers and programs write it, with the truth beside it: what `benchmarks.recordings` reads.

Each dialect is one function of a source of random numbers, a drive and a response [V] and the times [s], and gives the
text, the names and units that a reader should find, and the values that it holds, marks for missing ones included.
Many are hostile: marks of C's libraries, summary lines below, a clock beyond midnight, units in odd places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from labrhel.arrays import Array


@dataclass(frozen=True, slots=True)
class Written:
    """A text, and what it says: names and units of drive and response, their values [V], the step [s].

    `digits` are a share of the largest value; `step` is 0 where the text does not say it.  `refusable` texts
    are contradictory or cut in two: to name the line is as good as to read them.
    """

    text: str
    names: tuple[str, str]
    units: tuple[str, str]
    values: tuple[Array, Array]
    step: float
    digits: float = 2e-6
    encoding: str = "utf-8"
    suffix: str = ".csv"
    refusable: bool = False


Random = np.random.Generator
Maker = Callable[[Random, Array, Array, Array], Written]
SIZES = {"V": 1.0, "mV": 1e3, "µV": 1e6, "kV": 1e-3, "Volt": 1.0, "VOLT": 1.0, "Volts": 1.0, "": 1.0}


def written(number: int, random: Random, u: Array, y: Array, step: float) -> Written:
    """The text of a dialect, chosen by `number`."""
    start = float(random.choice([0.0, -0.25, 3.0]))
    return MAKERS[number % len(MAKERS)](random, u, y, start + step * np.arange(len(u)))


def _unit(random: Random) -> tuple[str, float]:
    unit = ("V", "mV", "µV", "kV")[random.integers(4)]
    return unit, SIZES[unit]


def _lines(head: Sequence[str], rows: Sequence[str], end: str = "\n", tail: Sequence[str] = ()) -> str:
    return end.join([*head, *rows, *tail]) + end


def _table(separator: str, *columns: Sequence[str]) -> list[str]:
    return [separator.join(cells) for cells in zip(*columns, strict=True)]


def _e(values: Array, places: int = 9) -> list[str]:
    return [f"{value:.{places}e}" for value in values]


def _german(values: Array) -> list[str]:
    return [f"{value:,.6f}".translate(str.maketrans(",.", ".,")) for value in values]


def _step(t: Array) -> float:
    return float(t[1] - t[0])


def german(random: Random, u: Array, y: Array, t: Array) -> Written:
    """`1.234,567`, semicolons, the first line of spreadsheets."""
    head = ["sep=;"] * int(random.integers(2)) + ["Zeit [ms];Ein [mV];Aus (µV)"]
    rows = _table(";", _german(t * 1e3), _german(u * 1e3), _german(y * 1e6))
    return Written(_lines(head, rows, "\r\n"), ("Ein [mV]", "Aus (µV)"), ("mV", "µV"), (u, y), _step(t), 1e-5, "cp1252")


def swiss(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Thousands grouped by an apostrophe or a narrow space."""
    sign = ("'", "\u2019", "\u202f", "\u00a0")[random.integers(4)]
    cells = [[f"{v:,.6f}".replace(",", sign) for v in values] for values in (t * 1e6, u * 1e6, y * 1e6)]
    rows = _table(";", *cells)
    return Written(
        _lines(["t / µs;u / µV;y / µV"], rows), ("u / µV", "y / µV"), ("µV", "µV"), (u, y), _step(t)
    )  # fmt: skip


def english_groups(random: Random, u: Array, y: Array, t: Array) -> Written:
    """`"1,234.5"` in quotes, between commas."""
    cells = [[f'"{v:,.6f}"' for v in values] for values in (t * 1e6, u * 1e6, y * 1e6)]
    names = ("drive, raw (uV)", "answer, raw (uV)")
    head = ['"time (us)",' + ",".join(f'"{name}"' for name in names)]
    return Written(_lines(head, _table(",", *cells)), names, ("uV", "uV"), (u, y), _step(t))


def _clock(t: Array, begin: datetime, form: str) -> list[str]:
    """Times after `begin` by `form`, in which @ is the fraction of a second to 9 digits."""
    found = []
    for seconds in t - t[0]:
        whole = int(seconds + 1e-10)
        fraction = f"{max(seconds - whole, 0.0):.9f}"[2:]
        found.append((begin + timedelta(seconds=whole)).strftime(form).replace("@", fraction))
    return found


def dates(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Time stamps of many countries and programs; now and then midnight passes."""
    form, separator = (
        ("%Y-%m-%dT%H:%M:%S.@", ","), ("%Y-%m-%dT%H:%M:%S.@+00:00", ","), ("%Y-%m-%dT%H:%M:%S.@Z", ","),
        ("%Y-%m-%d %H:%M:%S,@", ";"), ("%d.%m.%Y %H:%M:%S,@", ";"), ("%d.%m.%Y %H:%M:%S.@", ";"), ("%H:%M:%S.@", ","),
        ("%H:%M:%S,@", ";"), ("%Y/%m/%d %H:%M:%S.@", ","), ("%m/%d/%Y %I:%M:%S.@ %p", ","), ("%H:%M:%S:@", "\t"),
    )[random.integers(11)]  # fmt: skip
    begin = datetime(2026, 11, 29, 23, 59, 59) if random.integers(3) == 0 else datetime(2026, 11, 13, 12, 30, 7)
    decimal = "," if ",@" in form else "."
    rows = _table(separator, _clock(t, begin, form), *([c.replace(".", decimal) for c in _e(v)] for v in (u, y)))
    head = [separator.join(["Timestamp", "u [V]", "y [V]"])]
    return Written(_lines(head, rows), ("u [V]", "y [V]"), ("V", "V"), (u, y), _step(t))


def epochs(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Seconds, milli-, micro- or nanoseconds since 1970, as loggers write them without a unit."""
    size, places = ((1, 6), (1000, 3), (10**6, 0), (10**9, 0))[random.integers(4)]
    stamps = [f"{(1_764_460_800 * size) + round((s - t[0]) * size, places):.{places}f}" for s in t]
    if _step(t) < 1e-3 / min(size, 1000):
        stamps = [str(1_764_460_800 * 10**9 + round(float(s - t[0]) * 1e9)) for s in t]
    rows = _table(",", stamps, _e(u), _e(y))
    return Written(_lines(["timestamp,u,y"], rows), ("u", "y"), ("", ""), (u, y), _step(t))


def elapsed(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Hours that go beyond a day, or minutes and seconds alone."""
    hours = bool(random.integers(2))
    stamps = []
    for seconds in (1e5 if hours else 0.0) + (t - t[0]):
        whole, rest = divmod(seconds + 1e-10, 60)
        stamps.append(f"{int(whole) // 60:02d}:{int(whole) % 60:02d}:" if hours else f"{int(whole):02d}:")
        stamps[-1] += f"{rest:012.9f}"
    rows = _table(",", stamps, _e(u), _e(y))
    return Written(_lines(["Elapsed time,u,y"], rows), ("u", "y"), ("", ""), (u, y), _step(t))


def units_in_a_row(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Units in parentheses, bare, or with a word in front, in a row above or below the names."""
    (unit_u, size_u), (unit_y, size_y) = _unit(random), _unit(random)
    kind = int(random.integers(5))
    names, units = "Time,Drive,Angle", f"s,{unit_u},{unit_y}"
    if kind == 0:
        head = [names, f"(s),({unit_u}),({unit_y})", ""]
    elif kind == 1:
        head = [units, names]
    elif kind == 2:
        head = [names, units, ",,"]
    elif kind == 3:
        head = [names.replace("Time", "Channel"), units.replace("s", ("Unit", "Units:", "Einheit")[random.integers(3)])]
    else:
        head = [f"Device,{names}", f"Unit,{units}"]
    rows = _table(",", _e(t), _e(u * size_u), _e(y * size_y))
    if kind == 4:
        rows = [f"{index},{row}" for index, row in enumerate(rows)]
    step = 0.0 if kind == 3 else _step(t)
    return Written(_lines(head, rows), ("Drive", "Angle"), (unit_u, unit_y), (u, y), step)


def units_in_names(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Units somewhere in names, where people put them."""
    (unit, size), form = (("mV", 1e3), ("uV", 1e6), ("kV", 1e-3))[random.integers(3)], int(random.integers(12))
    lower = unit.lower()
    forms = (
        "{n} ({u}) filtered", "{n} [{u}] (raw)", "{n} ({u}).1", "{n} [in {u}]", "{n} ({u}, AC)", "{n}_{l}", "{n}.{u}",
        "{n} - {u}", "{n} ({u}DC)", "({u}) {n}", "{n} {u}", "{n}({u})",
    )  # fmt: skip
    names = tuple(forms[form].format(n=n, u=unit, l=lower) for n in ("drive", "q1"))
    quoted = [f'"{name}"' if "," in name else name for name in names]
    rows = _table(",", _e(t), _e(u * size), _e(y * size))
    return Written(_lines([",".join(["t", *quoted])], rows), (names[0], names[1]), (unit, unit), (u, y), _step(t))


def scope_with_preamble(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Preambles of oscilloscopes: record length, interval, scales and units, which are said and not to apply."""
    step, count = _step(t), len(t)
    (unit_u, size_u), (unit_y, size_y) = _unit(random), _unit(random)
    kind = int(random.integers(6))
    names, units = ("CH1", "CH2"), (unit_u, unit_y)
    rows = _table(",", _e(t, 12), _e(u * size_u), _e(y * size_y))
    if kind == 0:  # Siglent
        head = [
            f"Record Length,Analog:{count}", f"Sample Interval,Analog:{step:.9e}",
            f"Vertical Units,CH1:{unit_u},CH2:{unit_y}", "Vertical Scale,CH1:1.00,CH2:0.50",
            "Vertical Offset,CH1:0.00,CH2:-1.00", "Horizontal Units,s", "Horizontal Scale,0.001",
            "Model Number,SDS1104X-E", "Serial Number,SDS000", "Software Version,8.2", "Source,CH1,CH2",
            "Second,Volt,Volt",
        ]  # fmt: skip
        names, units = ("CH1", "CH2"), ("Volt", "Volt")
        rows = _table(",", _e(t, 12), _e(u), _e(y))
    elif kind == 1:  # Tektronix MSO
        head = [
            "Model,MSO54", "Firmware Version,1.28", "", "Waveform Type,ANALOG,,ANALOG", "Point Format,Y,,Y",
            "Horizontal Units,s,,s", f"Horizontal Scale,{step * count / 10},,", "Horizontal Delay,0,,",
            f"Sample Interval,{step:.9e},,{step:.9e}", f"Record Length,{count},,{count}", "Gating,0.0% to 100.0%",
            "Probe Attenuation,10,,10", f"Vertical Units,{unit_u},,{unit_y}", "Vertical Offset,0,,0.2",
            "Vertical Scale,0.5,,0.1", "Vertical Position,-1.2,,0", ",,,", "Label,,,", "TIME,CH1,CH2",
        ]  # fmt: skip
    elif kind == 2:  # LeCroy
        head = [
            "LECROYWR620Zi,12345,Waveform", f"Segments,1,SegmentSize,{count}", "Segment,TrigTime,TimeSinceSegment1",
            "#1,29-Nov-2026 06:30:00,0", "Time,Ampl,Ampl2",
        ]  # fmt: skip
        names, units = ("Ampl", "Ampl2"), ("", "")
        rows = _table(",", _e(t, 12), _e(u), _e(y))
    elif kind == 3:  # Keysight Infiniium
        head = [
            "Revision:,0", "Type:,RAW", "Start:,0", f"Points:,{count}", "Count:,1", f"XDispRange:,{step * count}",
            f"XInc:,{step:.9e}", f"XOrg:,{t[0]}", "XUnits:,second,second", f"YUnits:,{unit_u},{unit_y}",
            "Frame:,DSO9404A:MY1", "Date:,29 NOV 2026", "Time:,06:30:00:12", "Data:",
        ]  # fmt: skip
        names = ("column 2", "column 3")
    elif kind == 4:  # Rigol
        head = ["X,CH1,CH2,Start,Increment", f"Sequence,{unit_u},{unit_y},{t[0]:e},{step:.9e}"]
        rows = _table(",", [str(index) for index in range(count)], _e(u * size_u), _e(y * size_y), [""] * count)
    else:  # Rohde & Schwarz
        names = (f"CH1 in {unit_u}", f"CH2 in {unit_y}")
        head = ["in s," + ",".join(names)]
    return Written(_lines(head, rows), names, units, (u, y), step)


def beside(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Two channels, each with its own time, the second at half the rate: its column ends in the middle."""
    half, times = y[::2], _e(t, 12)
    rest = len(t) - len(half)
    rows = _table(",", times, _e(u), _e(t[0] + 2 * (t[: len(half)] - t[0]), 12) + [""] * rest, _e(half) + [""] * rest)
    second = np.concatenate([half, np.full(rest, np.nan)])
    head = ["Time A (s),Channel A (V),Time B (s),Channel B (V)"]
    return Written(
        _lines(head, rows), ("Channel A (V)", "Channel B (V)"), ("V", "V"), (u, second), _step(t)
    )  # fmt: skip


def summaries(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Statistics and words below the table."""
    tails = (
        [f"Mean,{u.mean():.6e},{y.mean():.6e}"], ["", f"Average,,{y.mean():.6e}", f"Std,,{y.std():.6e}"],
        [f"Min;{u.min():.6e};{y.min():.6e}"], ["End of data"], ["Total samples: 300"], [f"# mean {u.mean()}"], ["\x1a"],
        [f"Max,{t.max():.6e},{u.max():.6e},{y.max():.6e}"], ["---,---,---", f"Sum,{u.sum():.6e},{y.sum():.6e}"],
    )  # fmt: skip
    tail = tails[random.integers(len(tails))]
    rows = _table(",", _e(t), _e(u), _e(y))
    return Written(_lines(["t,u,y"], rows, tail=tail), ("u", "y"), ("", ""), (u, y), _step(t))


def marks(random: Random, u: Array, y: Array, t: Array) -> Written:
    """What C's libraries, instruments and people write for what is missing or beyond the range."""
    missing = (
        "-nan", "-1.#IND00", "1.#QNAN0", "1.#QNAN", "-1.#IND00e+000", "nan(ind)", "--", "----", "N/A", "#DIV/0!",
        "#REF!", "9.91E+37", "+9.910000E+37", "NULL", "9.91e37", "NaN", "<NA>", "n.d.", "BAD", "Err", "ERROR",
    )  # fmt: skip
    beyond = (
        "1.#INF", "1.#INF00", "1.#INF00e+000", "OL", "O.L.", "OVLD", "+9.9E+37", "9.9E37", "9.90000E+37", "Inf",
        "OVER", "9.99999E+37", "OVERFLOW", ">MAX", "Overrange",
    )  # fmt: skip
    cells, values = _e(u), u.copy()
    for index in random.choice(len(u), size=4, replace=False):
        if random.integers(2):
            cells[index], values[index] = missing[random.integers(len(missing))], np.nan
        else:
            cells[index], values[index] = beyond[random.integers(len(beyond))], np.inf
    rows = _table(",", _e(t), cells, _e(y))
    return Written(_lines(["t,u,y"], rows), ("u", "y"), ("", ""), (values, y), _step(t))


def interrupted(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Names, units or words again in the middle, as a logger writes them that began anew."""
    rows, at = _table(",", _e(t), _e(u), _e(y)), int(random.integers(3, len(t) - 3))
    middle = (
        ["t,u,y"], ["t [s],u [mV],y [mV]"], ["", "t,u,y"], ["# trigger lost"], ["% begun again"],
        ["Step Information: R=1K"], ["// note"], ["; note"], ["! note"], ["t,y,u"], ["s,V,mV"],
    )[random.integers(11)]  # fmt: skip
    rows[at:at] = middle
    commented = middle[0].startswith(("#", "%"))
    return Written(_lines(["t,u,y"], rows), ("u", "y"), ("", ""), (u, y), _step(t), refusable=not commented)


def fortran(random: Random, u: Array, y: Array, t: Array) -> Written:
    """`1.0D-03`, and exponents of three digits that push the letter out."""
    fixed = bool(random.integers(2))
    cells = [[cell.replace("e", "D") for cell in _e(values)] for values in (t, u, y)]
    if random.integers(2):
        cells[2] = [
            f"{float(f'{value:.9e}'):.9e}".replace("e", "").replace("-0", "-00").replace("+0", "+00") for value in y
        ]
    rows = ["".join(f"{cell:>20}" for cell in row) for row in zip(*cells, strict=True)]
    head = [f"{'t':>20}{'u':>20}{'y':>20}"] if fixed else ["C  a comment", "  TIME (s)   DRIVE (V)   ANGLE (V)"]
    names = ("u", "y") if fixed else ("DRIVE (V)", "ANGLE (V)")
    units = ("", "") if fixed else ("V", "V")
    return Written(_lines(head, rows), names, units, (u, y), _step(t), suffix=".dat")


def ltspice(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Tabs, names of nodes in parentheses."""
    names = (("V(in)", "V(out)"), ("V(s)", "V(m)"), ("V(n001)", "V(v)"))[random.integers(3)]
    rows = _table("\t", _e(t, 15), _e(u, 6), _e(y, 6))
    return Written(
        _lines(["\t".join(["time", *names])], rows, "\r\n"), names, ("", ""), (u, y), _step(t), suffix=".txt"
    )  # fmt: skip


def saleae(random: Random, u: Array, y: Array, t: Array) -> Written:
    """A logic analyser with analog inputs, times as ISO stamps of nanoseconds or as seconds."""
    stamps = _clock(t, datetime(2026, 11, 29, 6, 30), "%Y-%m-%dT%H:%M:%S.@+00:00") if random.integers(2) else _e(t, 12)
    rows = _table(",", stamps, _e(u), _e(y))
    names = ("Channel 0", "Channel 1")
    return Written(_lines(["Time [s]," + ",".join(names)], rows), names, ("", ""), (u, y), _step(t))


def picoscope(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Units in a row of brackets, an empty row, infinity for what is beyond the range, in two languages."""
    (unit_u, size_u), (unit_y, size_y), german = _unit(random), _unit(random), bool(random.integers(2))
    cells, values = [f"{value:.8f}" for value in u * size_u], u.copy()
    for index in random.choice(len(u), size=2, replace=False):
        cells[index], values[index] = "∞" if u[index] > 0 else "-∞", np.copysign(np.inf, u[index])
    separator = ";" if german else ","
    rows = _table(separator, [f"{value:.8f}" for value in t * 1e3], cells, [f"{value:.8f}" for value in y * size_y])
    if german:
        rows = [row.replace(".", ",") for row in rows]
    head = [
        separator.join(words) for words in (("Time", "Channel A", "Channel B"), ("(ms)", f"({unit_u})", f"({unit_y})"))
    ]
    digits = max(5e-9 / (size * float(np.abs(v).max())) for size, v in ((size_u, u), (size_y, y)))
    return Written(
        _lines([*head, ""], rows, "\r\n"), ("Channel A", "Channel B"), (unit_u, unit_y), (values, y), _step(t),
        max(digits, 2e-6), "utf-8-sig",
    )  # fmt: skip


def complexes(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Complex numbers are none of the time domain: the columns beside them are read."""
    form = ("{a:.6e}+{b:.6e}j", "({a:.6e}+{b:.6e}j)", "{a:.6e}+{b:.6e}i", "{a:.6e} + {b:.6e}i")[random.integers(4)]
    cells = [form.format(a=a, b=abs(b)) for a, b in zip(u, y, strict=True)]
    rows = _table(",", _e(t), cells, _e(u), _e(y))
    return Written(_lines(["t,H,u,y"], rows), ("u", "y"), ("", ""), (u, y), _step(t))


def multiline(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Quoted names with a line's end inside, as spreadsheets write them."""
    rows = _table(",", _e(t), _e(u * 1e3), _e(y * 1e3))
    head = ['"Time\n(s)","Drive\n(mV)","Angle\n(mV)"']
    return Written(_lines(head, rows), ("Drive (mV)", "Angle (mV)"), ("mV", "mV"), (u, y), _step(t))


def units_in_cells(random: Random, u: Array, y: Array, t: Array) -> Written:
    """Multimeters and loggers that write the unit behind every number, with a prefix for each or one for all."""
    separator, decimal = ((",", "."), (";", ","), ("\t", "."), (";", "."))[random.integers(4)]
    blank, begin = (" ", "")[random.integers(2)], random.integers(20)

    def cells(values: Array, units: Sequence[str]) -> list[str]:
        chosen = [units[index % len(units)] for index in range(len(values))]
        found = [f"{v * SIZES[unit]:.9e}{blank}{unit}" for v, unit in zip(values, chosen, strict=True)]
        return [cell.replace(".", decimal) for cell in found]

    one, several = ("mV", "µV", "V", "kV")[random.integers(4)], (("mV", "V"), ("V", "µV", "mV"))[random.integers(2)]
    answer = cells(y, several)
    missing = np.arange(len(y)) % 31 == begin
    answer = ["OL" if gone else cell for cell, gone in zip(answer, missing, strict=True)]
    times = [f"{value:.9e}".replace(".", decimal) for value in t]
    times = [f"{cell}{blank}s" for cell in times] if random.integers(2) else times
    rows = _table(separator, times, cells(u, [one]), answer)
    return Written(
        _lines([separator.join(["time", "drive", "answer"])], rows), ("drive", "answer"), (one, "V"),
        (u, np.where(missing, np.inf, y)), _step(t),
    )  # fmt: skip


MAKERS: tuple[Maker, ...] = (
    german, swiss, english_groups, dates, epochs, elapsed, units_in_a_row, units_in_names, scope_with_preamble, beside,
    summaries, marks, interrupted, fortran, ltspice, saleae, picoscope, complexes, multiline, units_in_cells,
)  # fmt: skip
"""Every dialect."""
