"""The command line in a folder of its own, on a screen that is wide enough."""

from pathlib import Path

import pytest

from labrhel.testing.command_line import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)
