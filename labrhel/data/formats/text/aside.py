"""Lines of a text file that are none of its table, and those that are one row of names together."""

from __future__ import annotations

import re

_COMMENTS = ("#", "%")
_VALUES = ("#N/A", "#NA", "#DIV/0!", "#VALUE!", "#NUM!", "#REF!", "#NAME?", "#NULL!", "#ERROR")
_SUMMARY = re.compile(
    r"\W*(?:mean|average|avg|median|std\.?(?:\s?dev\.?)?|stdev|sigma|variance|rms|min(?:imum)?|max(?:imum)?|sum|total|count|"
    r"mittel(?:wert)?|summe|moyenne|somme|statistics|pk-?pk)\b",
    re.IGNORECASE,
)
_MEASURED = re.compile(
    r"\W*(?:mean|average|avg|median|std\.?(?:\s?dev\.?)?|stdev|sigma|rms|vrms|min(?:imum)?|max(?:imum)?|vmin|vmax|"
    r"pk-?pk|vpp|peak.to.peak|frequency|freq\.?|period|amplitude|ampl|rise(?:\s?time)?|fall(?:\s?time)?|[+-]?duty|"
    r"[+-]?width|overshoot|preshoot|cycles?|vtop|vbase|vamp)\b",
    re.IGNORECASE,
)
_NAMES_WITHIN, _NAME_LINES = 60, 12  # lines from the top, and lines of one row of names


def is_comment(line: str) -> bool:
    """Whether a line is none of the table; `#N/A` at its begin is a value."""
    return line.startswith(_COMMENTS) and not line.upper().startswith(_VALUES)


def is_summary(line: str) -> bool:
    """Whether a line begins with the word for a mean, a sum or another statistic, as one below the table does."""
    return _SUMMARY.match(line) is not None


def is_measured(cell: str) -> bool:
    """Whether the first cell of a row above the table is the word for something that instruments measure."""
    return _MEASURED.match(cell) is not None


def is_rule(line: str, separator: str) -> bool:
    """Whether a line is empty, or drawn: `,,,` and `---;---`."""
    return set(line) <= {*separator, *' \t"-=_*'}


def join_names(lines: list[str]) -> None:
    """Make one line, the last of them, of quoted names with ends of lines inside, as spreadsheets write them."""
    for first in range(min(len(lines), _NAMES_WITHIN)):
        joined, last = lines[first], first
        while joined.count('"') % 2 and last - first < _NAME_LINES and last + 1 < len(lines):
            last += 1
            joined = f"{joined} {lines[last]}"
        if last > first and joined.count('"') % 2 == 0 and joined.rpartition('"')[2].strip(" ,;\t") == "":
            lines[first : last + 1] = [""] * (last - first) + [joined]
