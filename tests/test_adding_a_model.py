"""docs/adding-a-model.md: its code, run block after block, and its configuration on the command line.

There the model comes from a distribution of its own, found through a real entry point.
"""

import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from labrhel.testing.command_line import called

GUIDE = Path(__file__).parent.parent / "docs" / "adding-a-model.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_guide_runs_from_top_to_bottom() -> None:
    assert len(blocks("python")) >= 4
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks("python"):
        exec(compile(block, str(GUIDE), "exec"), names)
    # As a configuration would make it.
    chain = names["PendulumChain"]
    assert callable(chain)
    model = chain(
        3,
        inputs=("a", "b"),
        coupling="none",
        nominal={"twist": 0.1},
        time_unit=1e-3,
        position_unit="rad",
        input_unit="V",
    )
    assert model.parameters["input"].shape == (3, 2)
    assert model.parameters["initial_position"].unit == "rad"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the guide's configuration, and the guide's model as an installed distribution would hold it."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "chain.yaml").write_text(blocks("yaml")[0])
    package, info = folder / "site" / "your_package", folder / "site" / "pendulums-1.0.dist-info"
    for path in (package, info):
        path.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "pendulums.py").write_text(blocks("python")[0])
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pendulums\nVersion: 1.0\n")
    points = blocks("toml")[0].replace('[project.entry-points."labrhel.models"]', "[labrhel.models]").replace('"', "")
    mistaken = "lost = your_package.pendulums:Lost\nuncallable = your_package.pendulums:PendulumChain.force\n"
    (info / "entry_points.txt").write_text(points + mistaken)
    return folder


def labrhel(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line where that distribution is installed."""
    with patch.object(sys, "path", [str(home / "site"), *sys.path]):
        return called(home, *arguments)


@pytest.mark.parametrize("rig", ["sim:", "sim:chain.yaml", "sim:?reversal=momentum_flip"])
def test_a_users_model_is_checked_against_its_exact_gradient_on_the_command_line(home: Path, rig: str) -> None:
    answer = labrhel(home, "check", "chain.yaml", "--rig", rig, "--tolerance", "1e-6")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.rstrip().endswith("cosines >= 0.999999 and errors <= 1e-06: yes")
    rows = re.findall(r"(twist|gravity)\D+([\d.]+)\D+[\d.e-]+\D+([\d.]+)", answer.stdout)
    assert {name for name, *_ in rows} == {"twist", "gravity"}
    assert all(float(cosine) >= 0.999999 for _, *cosines in rows for cosine in cosines)


def test_beside_its_configuration_the_model_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    (tmp_path / "pendulums.py").write_text(blocks("python")[0])
    text = blocks("yaml")[0].replace("kind: pendulum_chain", "kind: pendulums.py:PendulumChain")
    (tmp_path / "chain.yaml").write_text(text)
    refused = labrhel(tmp_path, "check", "chain.yaml")
    assert refused.returncode == 2
    assert "chain.yaml:2: model.kind: " in refused.stderr and "add `--trust " in refused.stderr
    for rig in ("sim:", "sim:chain.yaml"):
        answer = labrhel(
            tmp_path, "check", "chain.yaml", "--rig", rig, "--trust", "pendulums.py", "--tolerance", "1e-6"
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert answer.stdout.rstrip().endswith("cosines >= 0.999999 and errors <= 1e-06: yes")


def test_it_is_rehearsed_trained_and_resumed_and_the_loss_falls(home: Path) -> None:
    rehearsed = labrhel(home, "run", "chain.yaml", "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "everything compiles" in rehearsed.stdout
    trained = labrhel(home, "run", "chain.yaml", "--steps", "6")
    assert trained.returncode == 0, trained.stderr
    (run,) = (item.name for item in (home / "runs").iterdir() if "-chain-" in item.name)
    resumed = labrhel(home, "resume", run, "--steps", "12")
    assert resumed.returncode == 0, resumed.stderr
    losses = [float(value) for value in re.findall(r"loss ([\d.]+) -> ([\d.]+)", resumed.stdout)[0]]
    assert "in 12 gradients" in resumed.stdout
    assert losses[1] < 0.8 * losses[0]
    straight = labrhel(home, "run", "chain.yaml", "--steps", "12", "--out", "straight")
    pattern = r"test error .*"
    assert re.findall(pattern, straight.stdout) == re.findall(pattern, resumed.stdout) != []


def test_it_trains_on_a_device_that_is_not_ideal(home: Path) -> None:
    whole = (home / "chain.yaml").read_text()
    worse = "\nimperfections: {seed: 3, mismatch: 1%, mode_friction: [0.001, 0.001, 0, 0], drift: 1ppm, adc_bits: 16}\n"
    (home / "device.yaml").write_text(whole + worse)
    answer = labrhel(home, "run", "chain.yaml", "--rig", "sim:device.yaml?noise=1urad", "--steps", "2", "--out", "bad")
    assert answer.returncode == 0, answer.stderr
    assert "in 2 gradients" in answer.stdout


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        (
            ("    twist:", "    twst:"),
            (),
            "model.parameters.twst: the model has no such parameter; did you mean 'twist'?",
        ),
        (("pendulum_chain", "pendulum_chan"), (), "there is no kind of model 'pendulum_chan'; known are:"),
        (("pendulum_chain", "lost"), (), "(your_package.pendulums:Lost) cannot be imported: "),
        (("pendulum_chain", "uncallable"), (), "made by a call with (size, inputs=, coupling=, "),
        (("value: 0.2", "value: [0.2, 0.1]"), (), "twist: the value has shape (2,); expected (3,), or a single number"),
        (("", ""), ("--rig", "sim:?nonreciprocity=1%"), "which PendulumChain does not have; leave it out"),
        (("", ""), ("--rig", "sim:?threads=2"), "only the compiled kernels of oscillator networks"),
        (
            ("oscillators: 4", "oscillators: 6"),
            ("--rig", "sim:coupled_oscillators"),
            "and coupling must agree",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    home: Path, change: tuple[str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    text = (home / "chain.yaml").read_text().replace(*change, 1)
    if "6" in change[1]:
        text = text.replace("twist: [0.5, 0.3, 0.4]", "twist: 0.4")
    (home / "mistaken.yaml").write_text(text)
    answer = labrhel(home, "run", "mistaken.yaml", *arguments)
    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
