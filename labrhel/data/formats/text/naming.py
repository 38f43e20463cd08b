"""Names of columns as they stand, the unit that a name holds, and what else a column may be called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labrhel.units import read_unit

TIME_NAMES = frozenset(
    [
        "t",
        "time",
        "times",
        "timestamp",
        "x-axis",
        "x_value",
        "second",
        "seconds",
        "sec",
        "zeit",
        "temps",
        "tiempo",
        "tempo",
        "elapsed time",
        "relative time",
        "time axis",
        "date/time",
        "datetime",
        "x axis",
        "elapsed",
        "time base",
        "timebase",
    ]
)
"""In small letters, without their units."""

_BRACKETS = re.compile(r"(.*?)\s*[(\[<{]\s*([^()\[\]<>{}]{1,24}?)\s*[)\]>}]\s*$", re.DOTALL)
_OTHER_FORMS = (
    re.compile(r"(.+?)\s*/\s*(\S+)$", re.DOTALL),  # U / mV
    re.compile(r"(.*?)\s*\bin\s+(\S+)$", re.DOTALL),  # CH1 in V
    re.compile(r"(.+?)\s*[,;:]\s*(\S+)$", re.DOTALL),  # U, mV
)
_ENDING = re.compile(r"(.+?)[_ ](V|s|[fpnuµμmkMGT](?:V|s|A|m|N|rad)|k?Hz|MHz|GHz|deg|rad)$", re.DOTALL)  # u_mV
_UNKNOWN = re.compile(
    r"db\w*|.*(?:rms|pp|p-p|pk)|counts?|lsbs?|codes?|adc|raw|bits?|%|percent|ppm|div|u\.?a\.?|a\.?u\.?|arb.*|norm.*|.*[µμΩ°].*",
    re.IGNORECASE,
)
_DELETED = re.compile(r"""[~!@#$%^&*()\-=+\\|\]}\[{';:/?.>,<"]""")


@dataclass(frozen=True, slots=True)
class Named:
    """A column: its name as it stands, the name without the unit, and the unit, "" if the name says none."""

    name: str
    bare: str
    unit: str

    @property
    def aliases(self) -> tuple[str, ...]:
        """What else it may be called: without its unit, and as programs write it that allow no blanks."""
        words = (self.bare, _written(self.name), _written(self.bare))
        return tuple(dict.fromkeys(word for word in words if word and word != self.name))


def named(cell: str) -> Named:
    """What the cell above a column says: `Channel 2 (mV)`, `U / mV`, `Drive [mV]`, `CH1 in V`, `u_mV`."""
    name = " ".join(cell.split())
    if match := _BRACKETS.fullmatch(name):
        if is_unit(match[2]):
            return Named(name, match[1].strip(" _"), match[2])
        return Named(name, name, "")
    for form in _OTHER_FORMS:
        if (match := form.fullmatch(name)) and read_unit(match[2]):
            return Named(name, match[1].strip(" _"), match[2])
    if match := _ENDING.fullmatch(name):
        return Named(name, match[1], match[2])
    return Named(name, name, "")


def is_unit(word: str) -> bool:
    """Whether a word in brackets is a unit, be it one that cannot be converted (dBV, counts, %)."""
    return read_unit(word) is not None or _UNKNOWN.fullmatch(word.strip()) is not None


def unit_of_cell(cell: str) -> str | None:
    """The unit that a cell of a row of units holds, "" for none; None if it is no such cell."""
    word = cell.strip()
    if word.lower() in ("", "sequence", "1", "-", "()", "[]", "none", "a.u.", "arb"):
        return ""
    if match := _BRACKETS.fullmatch(word):
        return match[2] if not match[1].strip() else None
    found = named(word)
    if found.unit and not found.bare:  # "in s"
        return found.unit
    if found.unit and read_unit(found.bare) is None:  # "t / µs" names a column
        return None
    return word if is_unit(word) else None


def distinct(names: Iterable[str]) -> list[str]:
    """The names, with _1, _2 ... behind those that stand there already, and `column N` for empty ones."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        word = wanted = name or f"column {number}"
        count = 0
        while word in found:
            count += 1
            word = f"{wanted}_{count}"
        found.append(word)
    return found


def is_time(column: Named, unit: str, *, first: bool) -> bool:
    """Whether a column holds the time of each sample, by its name, or by its unit if it is the first."""
    known = read_unit(unit)
    if unit and (known is None or known.base != "s"):
        return False
    return (
        column.bare.lower() in TIME_NAMES or (first and known is not None) or (first and not column.bare and bool(unit))
    )


def unique_aliases(columns: Sequence[Named], names: Sequence[str]) -> list[tuple[str, ...]]:
    """The aliases of each column that are nobody else's name or alias."""
    owners: dict[str, int] = {}
    for column in columns:
        for alias in column.aliases:
            owners[alias] = owners.get(alias, 0) + 1
    return [tuple(a for a in column.aliases if owners[a] == 1 and a not in names) for column in columns]


def _written(name: str) -> str:
    return _DELETED.sub("", name).strip().replace(" ", "_")
