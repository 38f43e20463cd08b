"""Tables on the terminal: as wide as what they say, so that no name is cut; a narrow terminal wraps the lines."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_WIDEST = 1000  # characters


def print_table(table: Table) -> None:
    """Print a table at its own width."""
    console = Console()
    wanted = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    console.width = max(console.width, wanted)
    console.print(table, soft_wrap=True)
