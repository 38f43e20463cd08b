"""docs/adding-an-imperfection.md: its code run block after block, and its imperfections as an installed package."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel import plugins
from labrhel.errors import ConfigurationError
from simbackend.imperfections.imperfection import Place
from simbackend.rigs.reference import reference_rig
from simbackend.rigs.simulated import SimulatedRig
from simbackend.virtual_bench import virtual_bench

GUIDE = Path(__file__).parent.parent / "docs" / "adding-an-imperfection.md"
MOST_LINES = 20
BENCH = """
model: pair.yaml
ring_down: 60ms
instruments: {awg: {kind: keysight_33600}, scope: {kind: rigol_ds1000z}}
leads:
  - {wire: awg.ch1, to: u1}
  - {wire: q1, to: scope.ch1}
"""
PAIR = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: [1.0, 1.3], coupling: 0.15, friction: 0.05}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def lines_of(code: str) -> int:
    """Lines of code, imports and docstrings apart."""
    tree = ast.parse(code)
    kept: set[int] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            kept |= set(range(first, (node.end_lineno or 0) + 1))
            docstring = node.body[0]
            assert isinstance(docstring, ast.Expr)
            kept -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom)
    return sum(1 for number in kept if code.splitlines()[number - 1].strip())


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the guide defines, run from top to bottom."""
    defined: dict[str, Any] = {"__name__": "guide"}
    for block in blocks("python"):
        exec(compile(block, str(GUIDE), "exec"), defined)
    return defined


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's imperfections as an installed distribution would hold them."""
    package, info = tmp_path / "site" / "your_package", tmp_path / "site" / "ours-1.0.dist-info"
    for path in (package, info):
        path.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "soft_ports.py").write_text(blocks("python")[0])
    (package / "daylight.py").write_text(blocks("python")[1])
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    points = blocks("toml")[0].replace('"labrhel.imperfections"', "labrhel.imperfections")
    (info / "entry_points.txt").write_text(points.replace("project.entry-points.", "").replace('"', ""))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "your_package"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    return tmp_path


@pytest.mark.parametrize("place", [0, 1])
def test_an_imperfection_is_one_file_of_at_most_twenty_lines(place: int) -> None:
    assert 5 <= lines_of(blocks("python")[place]) <= MOST_LINES


def test_each_changes_a_gradient(names: dict[str, Any]) -> None:
    assert names["ideal"][1] < 1e-6
    assert 0.01 < names["soft"][1] < 1
    assert 0.03 < names["warm"][1] < 0.1


def test_where_it_acts_follows_from_what_it_overrides(names: dict[str, Any]) -> None:
    assert names["SoftPorts"]().acts() == frozenset()
    assert names["SoftPorts"](2.0).acts() == {("level", Place.PORT_SIGNALS)}
    assert names["Daylight"](0.05).acts() == {("swing", Place.DRIFT)}


def test_a_url_switches_it_on_and_the_rig_drifts_as_it_says(installed: Path) -> None:
    model = reference_rig().model
    rig = plugins.open_rig("sim:?seed=7&daylight.swing=5%&daylight.period=8", model, installed)
    assert isinstance(rig, SimulatedRig)
    ratios = [rig.true_parameters(shot)["stiffness"] / model.parameters["stiffness"].nominal for shot in range(9)]
    swing = np.array(ratios)[:, 0] - 1
    assert swing[0] == pytest.approx(swing[8])
    assert swing[1:5] == pytest.approx(-np.roll(swing, -4)[1:5])
    assert np.abs(swing).max() == pytest.approx(0.05, rel=0.08)
    again = plugins.open_rig("sim:?seed=8&daylight.swing=5%&daylight.period=8", model, installed)
    assert isinstance(again, SimulatedRig)
    assert not np.allclose(again.true_parameters(0)["stiffness"], rig.true_parameters(0)["stiffness"])


def test_its_settings_are_listed_with_unit_and_meaning(installed: Path) -> None:
    lines = [line.split(maxsplit=2) for line in plugins.describe_rigs()]
    assert ["daylight.swing", "0.0", "Relative swing of all springs [1, %]"] in lines
    assert any(line[0] == "soft_ports.level" and line[2].endswith("[unit of the port]") for line in lines if line[2:])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sim:?daylight.swin=5%", "daylight.swin: unknown setting; did you mean 'swing'?"),
        ("sim:?daylight.swing=5mV", "daylight.swing: expected a share such as 0.01, 1% or 5ppm"),
        ("sim:?dayligt.swing=5%", "dayligt.swing"),
        ("sim:?soft_ports=2", "has no setting 'soft_ports'"),
    ],
)
def test_a_mistake_in_a_url_is_one_sentence(installed: Path, url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plugins.open_rig(url, reference_rig().model, installed)
    assert words in str(caught.value)


def test_a_file_names_it_and_what_is_not_registered_is_refused(installed: Path) -> None:
    (installed / "device.yaml").write_text(PAIR + blocks("yaml")[0])
    environment = {**os.environ, "PYTHONPATH": str(installed / "site")}
    command = [sys.executable, "-c", "import sys; from labrhel.cli import main; sys.exit(main())", "rigs"]
    listed = subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, check=False)
    assert "daylight.period" in listed.stdout, listed.stderr
    model = plugins.model_factory("oscillator_network")(2, coupling="chain", time_unit=1e-3, position_unit="V")
    rig = plugins.open_rig("sim:device.yaml", model, installed)
    assert isinstance(rig, SimulatedRig)
    assert not np.allclose(rig.true_parameters(0)["stiffness"], rig.true_parameters(100)["stiffness"])
    (installed / "device.yaml").write_text(PAIR + "imperfections: {moonlight: {swing: 1}}\n")
    known = "daylight, quadratures, soft_ports"
    with pytest.raises(ConfigurationError, match=rf"no imperfection 'moonlight'; known are: {known}"):
        plugins.open_rig("sim:device.yaml", model, installed)


def test_a_virtual_bench_acts_it_out_or_refuses_it_by_name(installed: Path) -> None:
    (installed / "bench.yaml").write_text(BENCH)
    (installed / "pair.yaml").write_text(PAIR + "imperfections: {seed: 7, daylight: {swing: 5%, period: 8}}\n")
    with virtual_bench(installed / "bench.yaml") as bench, bench.clock.lock:
        oscillators = bench.world._oscillators
        seen = []
        for shots in range(9):
            oscillators.shots = shots
            seen.append(oscillators.parameters(bench.clock.now())["stiffness"][1])
    assert seen[0] == pytest.approx(seen[8])
    assert np.ptp(seen) == pytest.approx(2 * 1.3 * 0.05, rel=0.1)
    (installed / "pair.yaml").write_text(PAIR + "imperfections: {soft_ports: {level: 2}}\n")
    with pytest.raises(ConfigurationError, match=r"takes no soft_ports\.level, which acts on what reaches the rig"):
        virtual_bench(installed / "bench.yaml")
