"""Where the command `labrhel` begins, and `python -m labrhel`.

Ctrl-C while Python imports the command line ends the process at once, as any program's: nothing is open yet, and Python
would print a traceback.  `labrhel.cli.ending` takes over as soon as it is there.
"""

import _signal  # pyright: ignore[reportMissingImports]  # what `signal` is made of: no time to import


def main() -> None:
    """Run the command line."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from labrhel.cli import main as command

    command()


if __name__ == "__main__":
    main()
