"""docs/adding-an-instrument.md: its driver and its virtual instrument, installed as a package, on a real socket."""

import ast
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drivers.devices import driver_of, find
from drivers.instruments import open_instrument
from drivers.roles import LevelSource
from labrhel import plugins
from labrhel.cli.finding import instruments_of
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError, InstrumentError, LabrhelError, LimitError
from labrhel.rig.devices import State
from simbackend.virtual_bench import Bench, Fault, station_text, virtual_bench

GUIDE = Path(__file__).parent.parent / "docs" / "adding-an-instrument.md"
MOST_LINES = {"driver": 30, "virtual instrument": 40}
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
    kept: set[int] = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.ClassDef):
            docstring = node.body[0]
            assert isinstance(docstring, ast.Expr)
            kept |= set(range(node.lineno, (node.end_lineno or 0) + 1))
            kept -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom)
    return sum(1 for number in kept if code.splitlines()[number - 1].strip())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the guide's bench, and the guide's code as an installed distribution would hold it."""
    package, info = tmp_path / "site" / "your_package", tmp_path / "site" / "ours-1.0.dist-info"
    for path in (package, info):
        path.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "gs200.py").write_text(blocks("python")[0])
    (package / "virtual_gs200.py").write_text(blocks("python")[1])
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    points = blocks("toml")[0].replace('[project.entry-points."labrhel.instruments"]', "[labrhel.instruments]")
    (info / "entry_points.txt").write_text(points.replace('"', ""))
    (tmp_path / "pair.yaml").write_text(PAIR)
    (tmp_path / "bench.yaml").write_text(blocks("yaml")[0])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "your_package"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    with virtual_bench(home / "bench.yaml") as bench:
        yield bench


def volts(bench: Bench) -> float:
    with bench.clock.lock:
        return bench.world.volts("bias.out")


@pytest.mark.parametrize(("place", "what"), [*enumerate(MOST_LINES)])
def test_each_is_one_file_of_few_lines(place: int, what: str) -> None:
    assert 10 <= lines_of(blocks("python")[place]) <= MOST_LINES[what]


def test_the_driver_sets_levels_of_the_virtual_instrument_and_with_them_the_oscillators(bench: Bench) -> None:
    address = bench.addresses["bias"]["socket"]
    with closing(open_instrument("gs200", "bias", address, limits=[-3.0, 4.0])) as bias:
        assert isinstance(bias, LevelSource)
        assert volts(bench) == 0.0
        assert bias.set_levels({"out": 2.5}) == {"out": 2.5}
        assert bias.out.voltage() == 2.5 == volts(bench)
        with bench.clock.lock:
            assert bench.world._oscillators.parameters(bench.clock.now())["coupling"][0] == pytest.approx(0.225)
        with pytest.raises(LimitError, match=r"bias.out would get 4\.5 V; allowed is \[-3, 4\] V"):
            bias.set_levels({"out": 4.5})
        with pytest.raises(InstrumentError, match="-222"):
            bias.write(":SOUR:LEV 13")  # past the driver
        assert volts(bench) == 2.5
        bias.make_safe()
        assert volts(bench) == 0.0
    assert bench.hosts["bias"].device.values["on", 0] is False


def test_one_that_is_safe_at_a_level_goes_there_and_stays_on(bench: Bench) -> None:
    with closing(open_instrument("gs200", "bias", bench.addresses["bias"]["socket"], safe={"out": 1.0})) as bias:
        bias.set_levels({"out": -2.0})
    assert volts(bench) == 1.0


@pytest.mark.parametrize("kind", ["late", "lost", "garbage", "reset", "restart"])
def test_after_a_fault_a_level_is_right_or_a_named_error(bench: Bench, kind: str) -> None:
    options = {"timeout": 0.3}
    with closing(open_instrument("gs200", "bias", bench.addresses["bias"]["socket"], **options)) as bias:
        bias.set_levels({"out": 0.5})
        bench.hosts["bias"].order(Fault.of(kind, {"late": 0.45, "restart": 0.05}.get(kind)), 1)
        try:
            assert bias.set_levels({"out": 1.5}) == {"out": 1.5}
            assert volts(bench) == 1.5
        except LabrhelError:
            bias.make_safe()
            assert volts(bench) == 0.0


def test_it_is_found_by_what_it_says_and_by_its_station_file(bench: Bench, home: Path) -> None:
    text = station_text(bench)
    assert "your_package.gs200.GS200" in text
    (home / "station.yaml").write_text(text)
    asked = instruments_of(load_station(home / "station.yaml"))
    (found,) = [device for device in find(asked, 2.0) if device.state is not State.LISTED]
    assert (found.driver, found.state) == ("gs200", State.ANSWERS)
    assert found.identity.startswith("YOKOGAWA,GS210,")


def test_it_opens_by_its_kind_and_by_the_class_that_a_station_file_names(bench: Bench) -> None:
    for type_ in ("gs200", "your_package.gs200.GS200"):
        with closing(open_instrument(type_, "bias", bench.addresses["bias"]["socket"])) as bias:
            assert type(bias).__name__ == "GS200"
    with pytest.raises(ConfigurationError, match="a gs200 has no option 'limit'; did you mean 'limits'"):
        open_instrument("gs200", "bias", bench.addresses["bias"]["socket"], limit=[0, 1])


def test_what_is_not_registered_is_named_with_what_is_near(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no driver 'your_package.gs20.GS20'; did you mean 'gs200'"):
        plugins.instrument_driver("your_package.gs20.GS20")
    (home / "bench.yaml").write_text(blocks("yaml")[0].replace("gs200", "gs300"))
    with pytest.raises(ConfigurationError, match="no virtual instrument 'gs300'; did you mean 'gs200'"):
        virtual_bench(home / "bench.yaml")


def test_a_driver_that_cannot_be_imported_is_named_and_keeps_nobody_else_from_being_found(
    bench: Bench, home: Path
) -> None:
    (home / "site" / "your_package" / "gs200.py").write_text("import a_library_that_is_not_there\n")
    with pytest.raises(ConfigurationError, match=r"the driver 'gs200' \(your_package.gs200:GS200\) cannot be imported"):
        open_instrument("gs200", "bias", bench.addresses["bias"]["socket"])
    assert driver_of("RIGOL TECHNOLOGIES,DS1104Z,1,1.0", plugins.instrument_drivers()) == "rigol_ds1000z"
