"""A station file names drivers that are installed, and brings none; and it opens no files through their options."""

import json
import sys
from pathlib import Path

import pytest

from drivers.foreign.classes import check_options, driver_class, require_installed
from drivers.qcodes_station import qcodes_station
from labrhel.errors import ConfigurationError
from simbackend.testing.stock_drivers import INSTRUMENTS, RIG

CODE = """\
from pathlib import Path
Path("ran").touch()
from qcodes.instrument import VisaInstrument
class Driver(VisaInstrument): ...
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, first on the path of Python, with a driver and a package in it."""
    (tmp_path / "mine").mkdir()
    for file in ("driver_beside.py", "mine/__init__.py"):
        (tmp_path / file).write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("named", ["driver_beside.Driver", "mine.Driver"])
def test_what_lies_beside_is_not_run_whatever_python_would_import(beside: Path, named: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no installed package: `pip install` it; a station file names"):
        driver_class(f"qcodes:{named}")
    assert not (beside / "ran").exists()


@pytest.fixture
def packages(beside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, which a `.pth` file in it extends by the working folder."""
    found = beside / "packages"
    found.mkdir()
    (found / "mine.pth").write_text("import sys\n# a comment\n" + str(beside) + "\n")
    monkeypatch.setattr("sysconfig.get_path", lambda kind: str(found))
    return found


def distribution(packages: Path, name: str, **files: str) -> None:
    """What pip records of a distribution."""
    folder = packages / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file, text in files.items():
        (folder / file.replace("__", ".")).write_text(text)


def editable(folder: Path) -> str:
    return json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}})


@pytest.mark.parametrize(
    ("name", "files"), [("mine", {}), ("my-drivers", {"top_level__txt": "other\nmine\n"}), ("Mine", {})]
)
def test_a_package_that_is_installed_as_an_editable_one_is_installed(
    beside: Path, packages: Path, name: str, files: dict[str, str]
) -> None:
    distribution(packages, name, direct_url__json=editable(beside), **files)
    assert driver_class("qcodes:mine.Driver").__name__ == "Driver"
    sys.modules.pop("mine")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("labrhel", {"top_level__txt": "mine\ndriver_beside\n"}),
        ("other", {}),
        ("other", {"top_level__txt": "other\n"}),
    ],
)
def test_what_stands_beside_an_editable_package_is_not_installed_with_it(
    beside: Path, packages: Path, name: str, files: dict[str, str]
) -> None:
    distribution(packages, name, direct_url__json=editable(beside), **files)
    for named in ("mine.Driver", "driver_beside.Driver"):
        with pytest.raises(ConfigurationError, match=rf"is no installed package.*; Python would take it from {beside}"):
            driver_class(f"qcodes:{named}")
    assert not (beside / "ran").exists()


def test_a_qcodes_station_is_made_of_the_same_drivers_alone(beside: Path) -> None:
    text = (
        INSTRUMENTS.replace("qcodes:qcodes.instrument_drivers.rigol.RigolDS1074Z", "qcodes:driver_beside.Driver") + RIG
    )
    (beside / "station.yaml").write_text(text)
    with pytest.raises(
        ConfigurationError, match=r"station.yaml:\d+: instruments.scope: 'driver_beside' is no installed"
    ):
        qcodes_station(beside / "station.yaml")
    assert not (beside / "ran").exists()


def test_an_editable_package_that_lies_elsewhere_lends_its_name_to_nobody(beside: Path, packages: Path) -> None:
    distribution(packages, "mine", direct_url__json=editable(beside / "elsewhere"))
    with pytest.raises(ConfigurationError, match="is no installed package"):
        driver_class("qcodes:mine.Driver")
    assert not (beside / "ran").exists()


@pytest.mark.parametrize("named", ["tests.conftest.Awg", "benchmarks.directed.Awg", "drivers.instruments.qdac2.QDac2"])
def test_nothing_of_the_checkout_of_labrhel_is_a_driver_of_somebody_else(named: str) -> None:
    with pytest.raises(ConfigurationError, match="is no installed package"):
        require_installed(f"qcodes:{named}")


def test_a_file_among_installed_packages_is_one_where_a_distribution_has_it(
    beside: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(packages))
    (packages / "loose.py").write_text(CODE)
    with pytest.raises(ConfigurationError, match="'loose' is no installed package"):
        driver_class("qcodes:loose.Driver")
    assert not (beside / "ran").exists()
    distribution(packages, "something", RECORD="loose.py,,\nsomething-1.0.dist-info/METADATA,,\n")
    assert driver_class("qcodes:loose.Driver").__name__ == "Driver"
    sys.modules.pop("loose")


def test_a_folder_of_the_same_name_takes_nothing_over_from_a_package_that_is_installed(
    beside: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (packages / "mine").mkdir()
    (packages / "mine" / "__init__.py").write_text(CODE)
    (packages / "shared_name").mkdir()
    (beside / "shared_name").mkdir()
    (beside / "shared_name" / "evil.py").write_text(CODE)
    distribution(packages, "mine", top_level__txt="mine\nshared_name\n")
    monkeypatch.setattr("sys.path", [*sys.path, str(packages)])
    for named in ("mine.Driver", "shared_name.evil.Driver"):
        with pytest.raises(ConfigurationError, match="is no installed package"):
            driver_class(f"qcodes:{named}")
    assert not (beside / "ran").exists()


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("os.system", "is no installed package"),
        ("qcodes", "is named by its module and class"),
        ("qcodes._Hidden", "is named by its module and class"),
        ("qcodes.instrument.__class__", "is named by its module and class"),
        ("../mine.Driver", "is named by its module and class"),
        ("qcodes.instrument_drivers.Keysight.Keysight33522C", "did you mean 'Keysight33522B'"),
        ("qcodes.instrument_drivers.keysigt.A", "cannot be imported: ModuleNotFoundError"),
        ("qcodes.instrument.Instrument", "is no QCoDeS driver of an instrument"),
        ("qcodes.instrument.find_or_create_instrument", "is no QCoDeS driver of an instrument"),
    ],
)
def test_what_is_no_driver_is_one_sentence(named: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        driver_class(f"qcodes:{named}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"visalib": "evil.so@ivi"}, "visalib of a driver is set here"),
        ({"pyvisa_sim_file": "a.yaml"}, "pyvisa_sim_file of a driver is set here"),
        ({"dll_path": "../evil"}, "a station file names no files"),
        ({"firmware": "evil.SO"}, "a station file names no files"),
        ({"files": ["a", {"b": "c/d"}]}, "a station file names no files"),
    ],
)
def test_options_of_a_driver_open_no_files(options: dict[str, object], words: str) -> None:
    made = driver_class("qcodes:qcodes.instrument_drivers.Keysight.Keysight33522B")
    with pytest.raises(ConfigurationError, match=words):
        check_options(made, options)
    check_options(made, {"timeout": 3, "terminator": "\r\n", "silent": True})


def test_a_name_says_module_and_class() -> None:
    assert require_installed("qcodes:qcodes.instrument_drivers.rigol.RigolDS1074Z") == (
        "qcodes.instrument_drivers.rigol", "RigolDS1074Z"
    )  # fmt: skip
