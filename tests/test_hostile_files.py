"""Mutated files of every kind that is read; `python -m benchmarks.hostile_files` tries ten thousand."""

import pytest

from benchmarks.hostile_files import campaign


@pytest.mark.slow
def test_mutated_files_are_refused_in_a_sentence_or_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "")  # as they are put back afterwards
    monkeypatch.setenv("LABRHEL_STATE", "")
    tally = campaign(range(40))
    assert tally.bad == []
    assert sum(tally.ends.values()) == 40
