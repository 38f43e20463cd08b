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
_IN_BRACKETS = re.compile(r"\s*[(\[<{]\s*(?:in\s+)?([^()\[\]<>{}]{1,24}?)\s*[)\]>}]")
_NODE = re.compile(r"([VI])\w?\(([^()]+)\)", re.IGNORECASE)  # V(out), I(R1), Ic(Q1): a simulated circuit
_OTHER_FORMS = (
    re.compile(r"(.+?)\s*/\s*(\S+)$", re.DOTALL),  # U / mV
    re.compile(r"(.*?)\s*\bin\s+(\S+)$", re.DOTALL),  # CH1 in V
    re.compile(r"(.+?)\s*[,;:]\s*(\S+)$", re.DOTALL),  # U, mV
    re.compile(r"(.+?)\s+[-\u2013=]\s+(\S+)$", re.DOTALL),  # U - mV
)
_ENDING = re.compile(  # u_mV, u_mv, u.mV
    r"(.+?)[_ .]"
    r"(V|s|[fpnuµμmkMGT](?:V|s|A|m|N|rad)|[uµμmk]v|k?Hz|MHz|GHz|deg|rad|[mun]?secs?|(?:milli|micro|kilo)?volts?)$",
    re.DOTALL,
)
_UNKNOWN = re.compile(
    r"db\w*|.*(?:rms|pp|p-p|pk)|[fpnuµmkMG]?[VA]\s?AC|[fpnuµmkMG]?V/div|counts?|lsbs?|codes?|adc|raw|bits?|%|percent|ppm|div|"
    r"u\.?a\.?|a\.?u\.?|arb.*|norm.*|.*[µμΩ°].*|"
    r"[-+×x*·^eE\d., ⁻⁰¹²³⁴-⁹]*[\d⁰-⁹][-×*· ]*[fpnuµmkMG]?(?:V|A|s|Hz|m|N|rad)(?:/div)?",  # 10 mV/div, 1e-3 V
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
    if match := _NODE.fullmatch(name):
        unit = match[2] if _fits(match[1].upper(), match[2]) else ""
        return Named(name, match[1] if unit else name, unit)
    groups = list(_IN_BRACKETS.finditer(name))
    for known in (read_unit, is_unit):  # (mV) counts before (raw), wherever either stands
        for group in reversed(groups):
            unit = next((word for word in (group[1], *group[1].split(",")) if known(word.strip())), "").strip()
            if unit:
                return Named(name, (name[: group.start()] + name[group.end() :]).strip(" _"), unit)
    if groups and _BRACKETS.fullmatch(name):
        return Named(name, name, "")
    for form in _OTHER_FORMS:
        if (match := form.fullmatch(name)) and read_unit(match[2]):
            return Named(name, match[1].strip(" _"), match[2])
    if match := _ENDING.fullmatch(name):
        return Named(name, match[1], match[2])
    return Named(name, name, "")


def _fits(symbol: str, word: str) -> bool:
    """Whether what stands behind a V or an I in brackets is its unit, and no node or part of a circuit."""
    unit = read_unit(word)
    return unit is not None and unit.base == {"V": "V", "I": "A"}[symbol] and word != "v"


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
