"""One HTML page with nothing to load: the skeleton and the style sheet that reports and cards share."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML, `title` plain words, which stand above it as well."""
    return _PAGE.format(title=escape(title), body=body)


def items(words: Iterable[str]) -> str:
    """A list of plain sentences."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in words)}</ul>"


def table(rows: Iterable[str]) -> str:
    """Rows as a table that scrolls on a narrow screen, by itself."""
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def row(name: str, *cells: str, mark: str = "") -> str:
    """A row under a name; `mark`, its class, colours the first cell: yes, no or doubtful."""
    kind = f' class="{mark}"' if mark else ""
    return f"<tr{kind}><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def heads(*names: str) -> str:
    """The row above a table."""
    return f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr>"


def flat(data: Any, prefix: str = "") -> dict[str, Any]:
    """What stands in mappings, by the keys that lead to it: {"a.b": 1}."""
    if not isinstance(data, dict):
        return {prefix: data}
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= flat(value, f"{prefix}.{name}" if prefix else str(name))
    return found


def picture(title: str, figure: Figure, *, drawn: bool = False) -> str:
    """A figure under its title, inside the page; `drawn` in lines (SVG), which can be enlarged to see what is small."""
    held = io.BytesIO()
    kind, mime = ("svg", "image/svg+xml") if drawn else ("png", "image/png")
    figure.savefig(held, format=kind, dpi=_DPI)
    source = f"data:{mime};base64," + base64.b64encode(held.getvalue()).decode("ascii")
    name = escape(title)
    return f'<figure><figcaption>{name}</figcaption><img alt="{name}" src="{source}"></figure>'


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 16px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 1.2rem auto; padding: 0 1rem; color: #1b1b1b }}
h1 {{ font-size: 1.2rem; overflow-wrap: anywhere }} h2 {{ font-size: 1.05rem; margin-top: 1.6rem }}
.verdict {{ border-left: .5rem solid; padding: .4rem .9rem; border-radius: .2rem }}
.verdict strong {{ font-size: 1.25rem }} .well {{ border-color: #2e8b57; background: #eef8f1 }}
.doubt {{ border-color: #d29a1a; background: #fdf7e7 }} .bad {{ border-color: #b3261e; background: #fdeeed }}
.pictures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .8rem }}
figure {{ margin: 0 }} figcaption {{ font-weight: 600 }} img {{ width: 100%; height: auto }}
table {{ border-collapse: collapse }} th {{ text-align: left; font-weight: 500 }}
th, td {{ padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #e3e3e3; vertical-align: top }}
td {{ overflow-wrap: anywhere }}
tr.yes td:nth-child(2) {{ color: #176b2c }} tr.no td:nth-child(2) {{ color: #a11 }}
tr.doubtful td:nth-child(2) {{ color: #96600a }}
.wide {{ overflow-x: auto }} pre {{ background: #f6f6f6; padding: .6rem; overflow-x: auto }}
summary {{ cursor: pointer; font-weight: 600; margin-top: .8rem }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""
