"""`--telemetry` on the command line, without a broker."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from small import SMALL

from labrhel.cli import main


def call(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> int:
    (folder / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["labrhel", *words])
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def test_a_dry_run_says_where_telemetry_would_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, tmp_path, "run", "small.yaml", "--dry-run", "--telemetry", "mqtt://desk") == 0
    assert "telemetry goes to mqtt://desk:1883/labrhel/small" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["mqtt://rig:sesame@desk", "desk", "mqtt://rig@desk?password_env=NOT_SET_ANYWHERE"])
def test_a_wrong_url_has_status_2_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    assert call(monkeypatch, tmp_path, "run", "small.yaml", "--telemetry", url) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "sesame" not in said
    assert not Path("runs").exists()
