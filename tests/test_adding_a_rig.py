"""docs/adding-a-rig.md: its circuit keeps the contract of a rig, and is trained from its configuration."""

import re
from pathlib import Path

import pytest

from labrhel.testing.command_line import called, labrhel

GUIDE = Path(__file__).parent.parent / "docs" / "adding-a-rig.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the guide's rig and configuration, of a user who has trusted nothing yet."""
    (tmp_path / "my_rig.py").write_text(blocks("python")[0])
    (tmp_path / "circuit.yaml").write_text(blocks("yaml")[0])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    return tmp_path


def test_the_guide_runs_from_top_to_bottom_and_the_circuit_keeps_the_contract(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks("python"):
        exec(compile(block, str(GUIDE), "exec"), names)
    passed = re.search(r"(\d+) passed", capsys.readouterr().out)
    assert passed is not None and int(passed[1]) >= 60


def test_a_circuit_with_its_leads_crossed_does_not(home: Path) -> None:
    crossed = blocks("python")[0].replace("kept.append(q)", "kept.append(-q)")
    (home / "my_rig.py").write_text(crossed)
    answer = called(
        home,
        "conformance",
        "my_rig.py:Circuit",
        "--config",
        "circuit.yaml",
        "--trust",
        "my_rig.py",
        "--only",
        "response",
    )
    assert answer.returncode == 1
    assert "q1 has the wrong sign" in answer.stdout


def test_it_is_trained_from_its_configuration_and_the_run_resumed(home: Path) -> None:
    refused = called(home, "run", "circuit.yaml")
    assert refused.returncode == 2 and "circuit.yaml:11: rig: " in refused.stderr and "--trust" in refused.stderr
    trained = called(home, "run", "circuit.yaml", "--steps", "20", "--trust", "my_rig.py")
    assert trained.returncode == 0, trained.stderr
    (run,) = (item.name for item in (home / "runs").iterdir() if "-circuit-" in item.name)
    resumed = called(home, "resume", run, "--steps", "60")
    assert resumed.returncode == 0, resumed.stderr
    first, last = (float(value) for value in re.findall(r"loss ([\d.e-]+) -> ([\d.e-]+)", resumed.stdout)[0])
    assert "in 60 gradients" in resumed.stdout and last < 0.01 * first


def test_what_it_is_told_follows_its_name(home: Path) -> None:
    (home / "my_rig.py").write_text(
        blocks("python")[0] + "\n\ndef found(rest, model, folder):\n    raise ValueError(rest)\n"
    )
    for url, told in (("my_rig.py:found:/dev/tty", "/dev/tty"), ("my_rig.py:found?a=1", "?a=1")):
        answer = labrhel(home, "check", "circuit.yaml", "--rig", url, "--trust", "my_rig.py")
        assert f"ValueError: {told}" in answer.stderr  # with the traceback of the user's own code
