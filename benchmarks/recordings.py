"""Recordings of every format, dialect and unit, whole and damaged: right values or a reason, never silently wrong.

    python -m benchmarks.recordings                    # 5000 generated files, and memory for a part of large ones
    python -m benchmarks.recordings --count 40         # as the tests do
    python -m benchmarks.recordings --from 3000        # go on from there: number and seed are one
    python -m benchmarks.recordings --memory 600       # only the memory, of files of so many MB

Each number makes one file by its own seed, knows what it wrote, and reads it.  A file that was not damaged must be
read, with the values to the digits that were written and the units and interval that the file says.  A damaged one may
be refused; values that are read of it must be right all the same.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.dialects import Written, written
from benchmarks.figure import Figure
from benchmarks.forked_reader import read_in_fork
from labrhel.arrays import Array
from labrhel.data import apart
from labrhel.data.recording import open_recording
from labrhel.data.timing import interval_of
from labrhel.errors import LabrhelError
from labrhel.units import ratio

_UNITS = (("", 1.0), ("V", 1.0), ("mV", 1e3), ("µV", 1e6), ("kV", 1e-3))
_RELATIVE = 1e-6  # texts with fewer digits are compared with their largest value
_STARTED = 50  # one number in so many starts its reader apart as users do
_TIMES = (("", 1.0), ("s", 1.0), ("ms", 1e3), ("µs", 1e6))


@dataclass(frozen=True, slots=True)
class Truth:
    """What was written: names of the columns, their units, the values [V], the step [s], and how well it is written."""

    names: tuple[str, str]
    units: tuple[str, str]
    values: tuple[Array, Array]
    step: float
    digits: float


@dataclass(frozen=True, slots=True)
class Made:
    """A file, what it holds, and what was done to it ("" for nothing; `refusable` if it is bad as it is written)."""

    file: Path
    truth: Truth
    damage: str
    refusable: bool = False


def made(number: int, folder: Path) -> Made:
    """The file of a number."""
    random = np.random.default_rng(number)
    kind = ("text", "text", "dialect", "npz", "npy", "hdf5", "netcdf4", "netcdf3", "mat5", "mat73")[number % 10]
    count = int(random.integers(20, 300))
    step = float(random.choice([1e-6, 2e-4, 1.638404e-3, 0.5]))
    u, y = random.normal(size=(2, count)) * 10 ** random.uniform(-3, 1, size=(2, 1))
    if kind == "dialect":
        return _in_dialect(random, folder, written(number // 10, random, u, y, step), damaged=number % 3 == 2)
    if kind == "text":
        file, truth = _text(random, folder, u, y, step)
    else:
        file, truth = _WRITERS[kind](random, folder, u, y, step)
    damage = ""
    if number % 3 == 2:
        damage = _damage(random, file, text=kind == "text")
    return Made(file, truth, damage)


def _in_dialect(random: np.random.Generator, folder: Path, found: Written, *, damaged: bool) -> Made:
    """The text of an instrument, now and then in two bytes a letter."""
    file = folder / f"a{found.suffix}"
    file.write_bytes(found.text.encode("utf-16" if random.integers(8) == 0 else found.encoding))
    truth = Truth(found.names, found.units, found.values, found.step, found.digits)
    return Made(file, truth, _damage(random, file, text=True) if damaged else "", found.refusable)


def _text(random: np.random.Generator, folder: Path, u: Array, y: Array, step: float) -> tuple[Path, Truth]:
    separator, decimal = [(",", "."), (";", ","), (";", "."), ("\t", "."), ("\t", ","), ("|", "."), (" ", ".")][
        random.integers(7)
    ]
    encoding = ("utf-8", "utf-8-sig", "utf-16", "cp1252")[random.integers(4)]
    end = ("\n", "\r\n", "\r")[random.integers(3)]
    style = ("brackets", "round", "slash", "row", "words", "none")[random.integers(6)]
    if separator == " ":
        style = ("none", "row")[random.integers(2)]
    quoted = bool(random.integers(2)) and separator != " "
    (unit_u, size_u), (unit_y, size_y), (unit_t, size_t) = (
        options[random.integers(len(options))] for options in (_UNITS[1:], _UNITS[1:], _TIMES[1:])
    )
    forms: dict[str, Callable[[str, str], str]] = {
        "brackets": lambda name, unit: f"{name} [{unit}]", "round": lambda name, unit: f"{name} ({unit})",
        "slash": lambda name, unit: f"{name} / {unit}", "words": lambda name, unit: f"{name} in {unit}",
    }  # fmt: skip
    if style == "none":
        unit_u = unit_y = unit_t = ""
        size_u = size_y = size_t = 1.0
    names = [
        forms[style](n, unit) if style in forms else n for n, unit in (("t", unit_t), ("drive", unit_u), ("q1", unit_y))
    ]
    t = float(random.choice([0.0, -0.25, 3.0])) + step * np.arange(len(u))
    places = int(random.integers(6, 12))
    head = [f"Model{separator}X-{random.integers(1000)}", f"Date{separator}2026-11-29"][: random.integers(3)]
    if separator == " ":
        head = [f"# {line}" for line in head]
    rows = [separator.join(names)] + ([separator.join([unit_t, unit_u, unit_y])] if style == "row" else [])
    for values in zip(t * size_t, u * size_u, y * size_y, strict=True):
        cells = [f"{values[0]:.12g}", *(f"{value:.{places}e}" for value in values[1:])]
        cells = [cell.replace(".", decimal) for cell in cells]
        rows.append(separator.join(f'"{cell}"' if quoted else cell for cell in cells))
    file = folder / f"a{('.csv', '.txt', '.TSV', '.dat')[random.integers(4)]}"
    file.write_bytes((end.join([*head, *rows]) + end).encode(encoding))
    return file, Truth((names[1], names[2]), (unit_u, unit_y), (u, y), step, 10.0**-places)


def _npz(random: np.random.Generator, folder: Path, u: Array, y: Array, step: float) -> tuple[Path, Truth]:
    save = (np.savez, np.savez_compressed)[random.integers(2)]
    save(folder / "a.npz", t=step * np.arange(len(u)), u=u, y=y, meta=np.array({"operator": "x"}, object))
    return folder / "a.npz", Truth(("u", "y"), ("", ""), (u, y), step, 1e-15)


def _npy(random: np.random.Generator, folder: Path, u: Array, y: Array, step: float) -> tuple[Path, Truth]:
    table = np.stack([u, y], axis=1)
    np.save(folder / "a.npy", np.asfortranarray(table) if random.integers(2) else table)
    return folder / "a.npy", Truth(("a[:, 0]", "a[:, 1]"), ("", ""), (u, y), 0.0, 1e-15)


def _hdf5(random: np.random.Generator, folder: Path, u: Array, y: Array, step: float) -> tuple[Path, Truth]:
    import h5py

    unit, size = _UNITS[random.integers(len(_UNITS))]
    with h5py.File(folder / "a.h5", "w") as file:
        file["raw/u"], file["raw/y"], file["t"] = u * size, y * size, step * np.arange(len(u))
        file["t"].attrs["units"] = "s"
        for name in ("raw/u", "raw/y") if unit else ():
            file[name].attrs["units"] = np.array([unit.encode()]) if random.integers(2) else unit
        file["u"], file["y"] = h5py.SoftLink("/raw/u"), h5py.SoftLink("/raw/y")
    return folder / "a.h5", Truth(("u", "y"), (unit, unit), (u, y), step, 1e-14)


def _netcdf(engine: str) -> Callable[..., tuple[Path, Truth]]:
    def write(random: np.random.Generator, folder: Path, u: Array, y: Array, step: float) -> tuple[Path, Truth]:
        import xarray

        unit, size = _UNITS[1 + random.integers(len(_UNITS) - 1)]
        data = xarray.Dataset(
            {"u": ("t", u * size, {"units": unit}), "y": ("t", y * size, {"units": unit})},
            {"t": ("t", step * np.arange(len(u)), {"units": "s"})},
        )
        largest = float(np.abs(y * size).max())
        packed = {"dtype": "int16", "scale_factor": largest / 30000, "add_offset": 0.0, "_FillValue": np.int16(-32768)}
        data.to_netcdf(folder / "a.nc", engine=engine, encoding={"y": packed})  # type: ignore[call-overload]
        return folder / "a.nc", Truth(("u", "y"), (unit, unit), (u, y), step, 2e-5)

    return write


def _mat5(random: np.random.Generator, folder: Path, u: Array, y: Array, step: float) -> tuple[Path, Truth]:
    from scipy.io import savemat

    content = {"meas": {"u": u, "y": y[:, None]}, "t": step * np.arange(len(u)), "unit": "V"}
    savemat(folder / "a.mat", content, do_compression=bool(random.integers(2)))
    return folder / "a.mat", Truth(("meas/u", "meas/y"), ("", ""), (u, y), step, 1e-15)


def _mat73(random: np.random.Generator, folder: Path, u: Array, y: Array, step: float) -> tuple[Path, Truth]:
    import h5py

    with h5py.File(folder / "a.mat", "w", userblock_size=512) as file:
        for name, values in (("Y", np.stack([u, y])), ("t", step * np.arange(len(u))[None])):
            file[name] = values
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    whole = bytearray((folder / "a.mat").read_bytes())
    whole[:19] = b"MATLAB 7.3 MAT-file"
    (folder / "a.mat").write_bytes(whole)
    return folder / "a.mat", Truth(("Y[:, 0]", "Y[:, 1]"), ("", ""), (u, y), step, 1e-15)


_WRITERS: dict[str, Callable[..., tuple[Path, Truth]]] = {
    "npz": _npz, "npy": _npy, "hdf5": _hdf5, "netcdf4": _netcdf("h5netcdf"), "netcdf3": _netcdf("scipy"), "mat5": _mat5,
    "mat73": _mat73,
}  # fmt: skip


def _damage(random: np.random.Generator, file: Path, *, text: bool) -> str:
    """Wounds that a reader can know: cut, a line too few values or too many, letters for digits, zeros."""
    content = file.read_bytes()
    if not text:
        file.write_bytes(content[: int(random.integers(8, len(content)))])
        return "cut"
    kind = ("letters", "lost separator", "zeros", "doubled", "a value more")[random.integers(5)]
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    words = content.decode(encoding)
    end = "\r\n" if "\r\n" in words else "\r" if "\r" in words else "\n"
    lines = words.split(end)
    at = int(random.integers(5, len(lines) - 1))
    separator = next((s for s in (";", "\t", "|", " ", ",") if s in lines[at]), ",")
    match kind:
        case "letters":
            lines[at] = lines[at].replace(separator, f"{separator}x", 1)
        case "lost separator":
            lines[at] = lines[at].replace(separator, "", 1)
        case "zeros":
            lines[at] = lines[at][:3] + "\0\0" + lines[at][3:]
        case "doubled":
            lines[at] = lines[at].replace("e", "e.", 1)
        case _:
            lines[at] += f"{separator}0{'x' if separator == ' ' else ''}1"
    file.write_bytes(end.join(lines).encode(encoding))
    return kind


def end_of(file: Made) -> str:
    """`right`, `refused: why` or `wrong: what`."""
    truth = file.truth
    try:
        recording = open_recording(file.file)
        series = [recording.series(name) for name in truth.names]
        found = recording.read(series, 0, series[0].samples)
    except LabrhelError as error:
        return f"refused: {error}"
    for one, values, unit, wanted in zip(series, found, truth.units, truth.values, strict=True):
        size = ratio(one.entry.unit or "V", "V")
        if (one.entry.unit or unit) and ratio(one.entry.unit, unit) != 1.0:
            return f"wrong: the unit of {one.asked} is {one.entry.unit!r}, not {unit!r}"
        if np.shape(values) != wanted.shape:
            return f"wrong: {one.asked} has the shape {np.shape(values)}, not {wanted.shape}"
        there, got = np.isfinite(wanted), np.asarray(values, float)
        if not np.array_equal(got[~there], wanted[~there], equal_nan=True):
            return f"wrong: {one.asked} has {got[~there]}, not {wanted[~there]}"
        off, true = np.abs(got[there] * (size or 1.0) - wanted[there]), np.abs(wanted[there])
        if not (off <= truth.digits * np.maximum(true, true.max() * (truth.digits > _RELATIVE))).all():
            return f"wrong: {one.asked} is off by {off.max():.3g}"
    if truth.step and not recording.listing.times and not recording.listing.interval:
        return "refused: the time between samples is not found"
    for name in recording.listing.times[:1]:
        try:
            axis = recording.series(name)
            (times,) = recording.read([axis], 0, axis.samples)
            step = interval_of(np.asarray(times, float), name) * (ratio(axis.entry.unit or "s", "s") or 0.0)
        except LabrhelError as error:
            return f"refused: {error}"
        if abs(step / truth.step - 1) > 1e-3:
            return f"wrong: the step is {step}, not {truth.step}"
    said = recording.listing.interval
    if said and truth.step and abs(said / truth.step - 1) > 1e-3:
        return f"wrong: the header says a step of {said}, not {truth.step}"
    return "right"


def campaign(
    count: int, first: int = 0, told: Callable[[str], object] = lambda words: None
) -> tuple[Counter[str], list[str]]:
    """Ends of `count` files from number `first` on, counted; and what was bad, with the numbers."""
    ends: Counter[str] = Counter()
    bad: list[str] = []
    started = apart.finished
    for number in range(first, first + count):
        # Starting a reader apart costs more than reading; every so many are started as users do.
        apart.finished = started if number % _STARTED == 8 or not hasattr(os, "fork") else read_in_fork
        try:
            with tempfile.TemporaryDirectory() as name:
                file = made(number, Path(name))
                end = end_of(file)
        finally:
            apart.finished = started
        word = end.partition(":")[0]
        ends[f"{word}, {'damaged' if file.damage else 'contradictory' if file.refusable else 'whole'}"] += 1
        if word == "wrong" or (word == "refused" and not file.damage and not file.refusable):
            bad.append(f"{number} ({file.file.name}, {file.damage or 'whole'}): {end}")
        if (number - first + 1) % 250 == 0:
            told(f"{number + 1}: {dict(ends)} {bad}")
    return ends, bad


_READ = """
import resource, sys
from pathlib import Path
from labrhel.data.recording import open_recording
def highest():  # of this program alone: ru_maxrss begins with that of whoever started it
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
start = highest()
recording = open_recording(Path(sys.argv[1]))
series = [recording.series(name) for name in sys.argv[3:]]
at = int(sys.argv[2])
found = recording.read(series, at, at + 600)
assert [len(values) for values in found] == [600] * len(series)
print(highest() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def memory(megabytes: float, kind: str) -> float:
    """MB above the start of the program, its child included, for 9 kB out of a file of that size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = int(megabytes * 1e6 / 16)
        if kind == "csv":
            count = int(megabytes * 1e6 / 26)
            with (folder / "a.csv").open("w") as stream:
                stream.write("u,y\n")
                for begin in range(0, count, 100_000):
                    rows = np.arange(begin, min(begin + 100_000, count)) * 1e-9
                    stream.writelines(f"{value:.9f},{-value:.9f}\n" for value in rows)
            file = folder / "a.csv"
        else:
            u = np.arange(float(count))
            file = _large(kind, folder, u)
            del u
        names = ("a[:, 0]", "a[:, 1]") if kind == "npy" else ("u", "y")
        done = subprocess.run(
            [sys.executable, "-c", _READ, str(file), str(count - 1000), *names],
            capture_output=True,
            text=True,
            check=True,
        )
    mine, child = map(int, done.stdout.split())
    return (mine + child) / 1024


def _large(kind: str, folder: Path, u: Array) -> Path:
    if kind == "npz":
        np.savez(folder / "a.npz", u=u, y=u)
        return folder / "a.npz"
    if kind == "npy":
        np.save(folder / "a.npy", np.stack([u, u], axis=1))
        return folder / "a.npy"
    if kind == "hdf5":
        import h5py

        with h5py.File(folder / "a.h5", "w") as file:
            file["u"], file["y"] = u, u
        return folder / "a.h5"
    if kind == "netcdf3":
        import xarray

        xarray.Dataset({"u": ("t", u), "y": ("t", u)}).to_netcdf(folder / "a.nc", engine="scipy")
        return folder / "a.nc"
    from scipy.io import savemat

    savemat(folder / "a.mat", {"u": u, "y": u})
    return folder / "a.mat"


MOST = {"hdf5": 50, "netcdf3": 50, "npy": 50, "npz": 50, "csv": 200, "mat": 200}
"""MB above the start, by format."""


def targets(count: int = 5000, megabytes: float = 600) -> Iterator[Figure]:
    """For the table of `benchmarks.targets`."""
    begin = time.monotonic()
    ends, bad = campaign(count)
    words = ", ".join(f"{number} {end}" for end, number in sorted(ends.items()))
    yield Figure(
        f"{count} generated recordings: 0 silently wrong values",
        f"{words}, in {time.monotonic() - begin:.0f} s",
        not bad,
    )
    for kind, most in MOST.items():
        used = memory(megabytes, kind)
        yield Figure(
            f"9 kB out of {megabytes:g} MB of {kind}: <= {most} MB above start", f"{used:.0f} MB", used <= most
        )


def main() -> None:
    """Run the campaign and print its figures; exit status 1 if a file was bad."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--memory", type=float, default=0.0, metavar="MB")
    asked = parser.parse_args()
    if asked.memory:
        for kind, most in MOST.items():
            print(f"{kind}: {memory(asked.memory, kind):.1f} MB above start, {most} are the most", flush=True)
        return
    ends, bad = campaign(asked.count, asked.first, lambda words: print(words, flush=True))
    for words in bad:
        print(words)
    print(f"{dict(ends)}, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
