"""`--telemetry` on the command line, without a broker."""

from pathlib import Path

import pytest

from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.write(SMALL)
    return shell


def test_a_dry_run_says_where_telemetry_would_go(shell: Shell) -> None:
    status, out, _ = shell("run", "small.yaml", "--dry-run", "--telemetry", "mqtt://desk")
    assert status == 0
    assert "telemetry goes to mqtt://desk:1883/labrhel/small" in out


@pytest.mark.parametrize("url", ["mqtt://rig:sesame@desk", "desk", "mqtt://rig@desk?password_env=NOT_SET_ANYWHERE"])
def test_a_wrong_url_has_status_2_and_leaves_nothing_behind(shell: Shell, url: str) -> None:
    status, _, said = shell("run", "small.yaml", "--telemetry", url)
    assert status == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "sesame" not in said
    assert not (shell.folder / "runs").exists()
