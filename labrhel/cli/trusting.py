"""`--trust FILE`, and the question that is asked at a terminal about code beside a configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from labrhel.safety.trust import Code

_SHOWN, _WIDTH = 12, 100  # lines of the file, and characters of each


def _granted(context: typer.Context, files: list[Path] | None) -> list[Path] | None:
    """Trust the files as they are now, in this command and from now on; what else turns up is asked about."""
    from labrhel.errors import ConfigurationError
    from labrhel.safety import trust

    if context.resilient_parsing:
        return files
    named = [trust.Code.named(file) for file in files or ()]
    try:
        for code in named:
            trust.TrustList().add(code)
    except ConfigurationError as error:
        print(f"note: {error}; what --trust names is trusted in this command alone", file=sys.stderr)
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    context.with_resource(trust.granting(named, _asked if is_terminal else None))
    return files


def _asked(code: Code) -> bool:
    lines = code.content.decode("utf-8", "replace").splitlines()
    print(f"{code.file} is code that wants to run on this computer, {len(lines)} lines:", file=sys.stderr)
    for line in lines[:_SHOWN]:
        # What is not printable could move the cursor, and show other lines than those that will run.
        print("  |", "".join(letter if letter.isprintable() else "?" for letter in line)[:_WIDTH], file=sys.stderr)
    if len(lines) > _SHOWN:
        print(f"  ... and {len(lines) - _SHOWN} more: read the file before you answer", file=sys.stderr)
    print(f"SHA-256 {code.digest}", file=sys.stderr)
    return typer.confirm("Trust exactly this content from now on?", default=False, err=True)


Trust = Annotated[
    list[Path] | None,
    typer.Option(
        "--trust",
        metavar="FILE",
        callback=_granted,
        help="Trust this file of code beside the configuration, now and later; may be given again.",
    ),
]
