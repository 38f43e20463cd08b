"""A few signals to commands; benchmarks/signals_campaign.py has the full counts."""

import sys

import pytest

from benchmarks.signals_campaign import COMMANDS, SIGNALS, Trial, attempt, lab

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who handles signals")]


def test_every_signal_meets_every_command() -> None:
    met = {(trial.signal, trial.command) for trial in map(Trial.of, range(len(SIGNALS) * len(COMMANDS)))}
    assert len(met) == len(SIGNALS) * len(COMMANDS)


def test_commands_that_are_interrupted_lose_nothing_and_leave_no_half_files() -> None:
    with lab() as place:
        for seed, name, command in ((0, "TERM", "resume"), (1, "KILL", "run"), (2, "INT", "archive")):
            assert attempt(place, Trial(seed, name, command, 0.5))[-1] == ()
