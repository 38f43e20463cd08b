"""How values show themselves: one short line at a prompt, a small table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_LONGEST = 360  # characters of a line
_ROWS = 20  # of a table; the rest is counted


def line(text: str) -> str:
    """The text as one line that stays readable in a traceback, cut where it is longer."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 4]} ..."


def listed(names: Iterable[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def table(caption: str, rows: Iterable[tuple[object, ...]], head: tuple[str, ...] = ()) -> str:
    """An HTML table, with every cell escaped: names come from files, and files from anybody."""
    cells = list(rows)
    lines = [_row(row) for row in cells[:_ROWS]]
    if len(cells) > _ROWS:
        lines.append(_row((f"... and {len(cells) - _ROWS} more",)))
    top = f"<thead>{_row(head, 'th')}</thead>" if head else ""
    title = f'<caption style="text-align:left">{escape(caption)}</caption>'
    return f"<table>{title}{top}<tbody>{''.join(lines)}</tbody></table>"


def _row(cells: tuple[object, ...], kind: str = "td") -> str:
    inside = "".join(f'<{kind} style="text-align:left">{escape(str(cell))}</{kind}>' for cell in cells)
    return f"<tr>{inside}</tr>"
