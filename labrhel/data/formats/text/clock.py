"""Times of day and dates, as cells of a table: ISO 8601 and what countries and programs make of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.text.numbers import is_mark

_DAY = 86400
_HALF = _DAY / 2  # a clock that goes back by more than this has passed midnight
_STAMP = re.compile(
    r"""(?:(?P<date>\d{4}-\d\d?-\d\d?|\d{4}/\d\d?/\d\d?|\d\d?[./-]\d\d?[./-]\d{4})[T ,]\s*)?
        (?:(?:(?P<hours>\d+):)?(?P<minutes>\d{1,2}):(?P<seconds>\d\d(?:[.,:]\d+)?)
           |(?P<hour>\d{1,2}):(?P<minute>\d\d)(?=\s?[AaPp]))?
        \s?(?P<half>[AaPp]\.?[Mm]\.?)?\s?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A day, counted from the year 1, 0 where the cell names none, and seconds after midnight."""

    day: int
    seconds: float


def moment_of(cell: str) -> Moment | None:
    """What a cell says; None if it is no time.  Days stand before months, but for `11/29/2026`."""
    word = cell.strip()
    match = _STAMP.fullmatch(word) if ":" in word else None
    if match is None:
        return None
    seconds = (match["seconds"] or "0").replace(",", ".").replace(":", ".")
    hours, minutes = int(match["hours"] or match["hour"] or 0), int(match["minutes"] or match["minute"] or 0)
    if match["half"]:
        hours = hours % 12 + 12 * (match["half"][0] in "pP")
    try:
        day = _day(match["date"]) if match["date"] else 0
    except ValueError:
        return None
    if (minutes > 59 and match["hours"]) or float(seconds) >= 61 or (day and hours > 24):
        return None
    zone = match["zone"] or ""
    shift = int(f"{zone[0]}1") * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60) if zone[:1] in ("+", "-") else 0
    return Moment(day, hours * 3600 + minutes * 60 + float(seconds) - shift)


def _day(words: str) -> int:
    one, two, three = (int(part) for part in re.split("[-/.]", words))
    if one > 31:
        return date(one, two, three).toordinal()
    months_first = two > 12 or ("/" in words and one <= 12)
    return date(three, *((one, two) if months_first else (two, one))).toordinal()


def seconds_of(cells: Sequence[str], first: Moment) -> tuple[Array, int | None]:
    """Seconds (cells,) after midnight of the day of the table's `first` moment, and the first cell that is no time.

    A clock without dates that goes back by half a day has passed midnight.  Differences are right to a nanosecond,
    which those of seconds since 1970 are not.
    """
    found = np.empty(len(cells))
    added, last = 0, first.seconds
    for index, cell in enumerate(cells):
        moment = moment_of(cell)
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
