"""The command line.  This module stays light: `labrhel --help` must answer at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `labrhel`: runs a command and turns errors into one sentence and an exit status."""
    from labrhel.cli.app import app
    from labrhel.errors import LabrhelError

    try:
        app()
    except LabrhelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
