"""Times of day and dates, as cells of a table: ISO 8601 and what countries and programs make of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.numbers import is_mark

_DAY = 86400
_HALF = _DAY / 2  # a clock that goes back by more than this has passed midnight
_STAMP = re.compile(
    r"""(?:(?P<date>\d{4}-\d\d?-\d\d?|\d{4}/\d\d?/\d\d?|\d\d?[./-]\d\d?[./-]\d{4})[T ,]\s*)?
        (?:(?P<hours>\d+):(?P<minutes>\d{1,2}):(?P<seconds>\d\d(?:[.,:]\d+)?)
           |(?P<one>\d+):(?P<two>\d\d)(?P<fraction>[.,]\d+)?)?
        \s?(?P<half>[AaPp]\.?[Mm]\.?)?\s?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?""",
    re.VERBOSE | re.ASCII,
)
_DATE = re.compile(r"(?:\d{4}([-/.])\d\d?\1\d\d?|\d\d?([./-])\d\d?\2(?:\d\d){1,2}|(?:19|20)\d{6})", re.ASCII)
_HOURS_TOLD = re.compile(r"\bh(?:h|rs?|ours?)?:m(?:m|ins?|inutes?)?\b(?!:)", re.IGNORECASE)
_MINUTES_TOLD = re.compile(r"(?<!:)\bm(?:m|ins?|inutes?)?:s(?:s|ecs?|econds?)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Moment:
    """A day, counted from the year 1, 0 where the cell names none, and seconds after midnight."""

    day: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Clock:
    """A column of times: its first one, and how many seconds the first of two numbers counts.

    `13:05` is hours and minutes for `pair` = 3600 and minutes and seconds for 60; for 0 it is no time.  `days_first`:
    what 03/04/2026 is, which `labrhel.data.formats.text.dates` finds.
    """

    first: Moment
    pair: int = 0
    days_first: bool | None = None

    def moment_of(self, cell: str) -> Moment | None:
        """What a cell of this column says; None if it is no time."""
        return moment_of(cell, self.pair, days_first=self.days_first)


def clock_of(cells: Sequence[str], name: str, *, dated: bool) -> Clock:
    """The clock of a column by its first cells and its name; `dated`: the date stands in a column beside it.

    Raises UnreadableError where two numbers may be hours and minutes as well as minutes and seconds.
    """
    pairs = [match for cell in cells if (match := _pair(cell))]
    pair = 0
    if _MINUTES_TOLD.search(name) or any(match["fraction"] for match in pairs):
        pair = 60
    elif dated or _HOURS_TOLD.search(name):
        pair = 3600
    elif pairs:
        raise UnreadableError(
            f"{pairs[0][0]!r} under {name!r} may be hours and minutes, or minutes and seconds: "
            f"write (hh:mm) or (mm:ss) behind the name of that column"
        )
    first = next((moment for cell in cells if (moment := moment_of(cell, pair))), None)
    if first is None:
        raise UnreadableError(f"{cells[0][:40]!r} under {name!r} is no time")
    return Clock(first, pair)


def are_dates(cells: Sequence[str]) -> bool:
    """Whether all cells are dates without a time."""
    return bool(cells) and all(_DATE.fullmatch(cell.strip()) for cell in cells)


def _pair(cell: str) -> re.Match[str] | None:
    """Two numbers that neither a date nor AM or PM makes hours and minutes."""
    match = _STAMP.fullmatch(cell.strip())
    return match if match and match["one"] and not match["date"] and not match["half"] else None


def moment_of(cell: str, pair: int = 60, *, days_first: bool | None = None) -> Moment | None:
    """What a cell says, two numbers alone by the `pair` of a clock; None if it is no time.

    After a date, and before AM or PM, two numbers are hours and minutes.  With decimals they are minutes and seconds.
    In 03/04/2026 the day comes first if `days_first`, second if not; None: it is a date in either order.
    """
    word = cell.strip()
    match = _STAMP.fullmatch(word) if ":" in word else None
    if match is None:
        return None
    hours, minutes, seconds = match["hours"] or "0", match["minutes"] or "0", match["seconds"] or "0"
    if match["one"]:
        of_day = bool(match["date"] or match["half"])
        if (of_day or pair == 3600) and not match["fraction"]:
            hours, minutes = match["one"], match["two"]
        elif not of_day and (pair == 60 or (match["fraction"] and not pair)):
            minutes, seconds = match["one"], match["two"] + (match["fraction"] or "")
        else:
            return None
    whole, past = int(hours), int(minutes)
    if match["half"]:
        whole = whole % 12 + 12 * (match["half"][0] in "pP")
    rest = float(seconds.replace(",", ".").replace(":", "."))
    try:
        day = _day(match["date"], days_first=days_first) if match["date"] else 0
    except ValueError:
        return None
    if (past > 59 and (match["hours"] or hours != "0")) or rest >= 61 or (day and whole > 24):
        return None
    zone = match["zone"] or ""
    shift = int(f"{zone[0]}1") * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60) if zone[:1] in ("+", "-") else 0
    return Moment(day, whole * 3600 + past * 60 + rest - shift)


def _day(words: str, *, days_first: bool | None) -> int:
    one, two, three = (int(part) for part in re.split("[-/.]", words))
    if one > 31:
        return date(one, two, three).toordinal()
    months_first = two > 12 if days_first is None else not days_first
    return date(three, *((one, two) if months_first else (two, one))).toordinal()


def seconds_of(cells: Sequence[str], clock: Clock) -> tuple[Array, int | None]:
    """Seconds (cells,) after midnight of the day of the clock's first moment, and the first cell that is no time.

    A clock without dates that goes back by half a day has passed midnight.  Differences are right to a nanosecond,
    which those of seconds since 1970 are not.
    """
    found = np.empty(len(cells))
    first = clock.first
    added, last = 0, first.seconds
    for index, cell in enumerate(cells):
        moment = clock.moment_of(cell)
        if moment is None:
            if not is_mark(cell):
                return found, index
            found[index] = math.nan
            continue
        if first.day:
            found[index] = (moment.day - first.day) * _DAY + moment.seconds
            continue
        if (
            last - moment.seconds > (_HALF if index else 0) and last < _DAY
        ):  # what is read in parts may begin after midnight
            added += _DAY
        last = moment.seconds
        found[index] = added + moment.seconds
    return found, None
