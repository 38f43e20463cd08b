"""A command ends by a signal, a reader who has gone, or a full disk in one sentence or none; never with a traceback."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrhel.cli import ending
from labrhel.testing.waiting import PATIENCE


@pytest.fixture
def unignored() -> Iterator[None]:
    """All signals as in a terminal, though the tests themselves may run under nohup."""
    before = {item: signal.getsignal(item) for item in ending.SIGNALS}
    for item, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(item, signal.SIG_DFL)
    yield
    for item, handler in before.items():
        signal.signal(item, handler)


@pytest.mark.usefixtures("unignored")
@pytest.mark.parametrize("number", ending.SIGNALS)
def test_the_first_signal_interrupts_and_later_ones_change_nothing(number: signal.Signals) -> None:
    before = [signal.getsignal(item) for item in ending.SIGNALS]
    cleaned = False
    with ending.interruptible(alone=False) as interrupts, pytest.raises(KeyboardInterrupt) as caught:
        try:
            signal.raise_signal(number)
        finally:
            for again in ending.SIGNALS:
                signal.raise_signal(again)
            cleaned = True
    assert cleaned and interrupts.came
    assert caught.value.args == (number,)
    assert [signal.getsignal(item) for item in ending.SIGNALS] == before


def test_a_command_that_was_started_with_nohup_goes_on_when_its_terminal_is_closed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending.interruptible(alone=False) as interrupts:
            signal.raise_signal(signal.SIGHUP)
        assert not interrupts.came
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_that_falls_into_a_destructor_comes_once_more(capsys: pytest.CaptureFixture[str]) -> None:
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    import time

    begun = time.monotonic()
    with ending.interruptible(alone=False), pytest.raises(KeyboardInterrupt):
        Dying()
        time.sleep(PATIENCE)
    assert time.monotonic() - begun < PATIENCE / 2  # it ends what the main thread waits for
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_who_has_gone_is_no_error_and_a_full_disk_has_a_name() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gone = ending._Output(writing, "standard output", may_fail=False)
    assert gone.write(b"nobody") == 6
    os.close(writing)
    full = os.open("/dev/full", os.O_WRONLY)
    stream = io.TextIOWrapper(io.BufferedWriter(ending._Output(full, "standard output", may_fail=False)))
    stream.write("words\n")
    with pytest.raises(OSError, match="No space left on device") as caught:
        stream.flush()
    assert caught.value.filename == "standard output"
    stream.close()  # what was not said is not tried again


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("{python} -m labrhel runs | true; exit ${{PIPESTATUS[0]}}", 0, ""),
        ("{python} -m labrhel runs > /dev/full", 3, "error: standard output: No space left on device\n"),
        ("{python} -m labrhel runs >&-", 0, ""),
    ],
)
def test_the_command_in_a_shell(tmp_path: Path, line: str, status: int, said: str) -> None:
    words = ["bash", "-c", line.format(python=sys.executable)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False, env=environment)
    assert (done.returncode, done.stderr) == (status, said)
