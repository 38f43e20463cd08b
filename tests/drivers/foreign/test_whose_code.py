"""A station file names drivers that are installed, and brings none; and it opens no files through their options."""

import sys
from pathlib import Path

import pytest

from drivers.foreign.classes import check_options, driver_class, require_installed
from labrhel.errors import ConfigurationError

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


def test_a_package_that_is_installed_as_an_editable_one_is_installed(
    beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = beside / "packages"
    packages.mkdir()
    (packages / "mine.pth").write_text("import sys\n# a comment\n" + str(beside) + "\n")
    monkeypatch.setattr("sysconfig.get_path", lambda kind: str(packages))
    assert driver_class("qcodes:mine.Driver").__name__ == "Driver"
    sys.modules.pop("mine")


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
        ("qcodes.instrument.Instrument", "is no QCoDeS driver of a VISA instrument"),
        ("qcodes.instrument.find_or_create_instrument", "is no QCoDeS driver of a VISA instrument"),
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
