"""What a station file says of somebody else's driver is checked when it is read, with no driver at hand."""

from pathlib import Path

import pytest

from labrhel.config.station import station_from
from labrhel.errors import ConfigurationError
from labrhel.testing.command_line import Shell
from simbackend.testing.stock_drivers import INSTRUMENTS, RIG

TEXT = INSTRUMENTS + RIG


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{rate}", "{raet}", r"station.yaml:\d+: instruments.awg.outputs: .*nothing is called \{raet\} here"),
        ("{terminal}.dc_constant_V", "{samples}.level", r"instruments.bias.levels: .*nothing is called \{samples\}"),
        (
            "fire: [force_trigger]",
            "fire: [{a: 1, b: 2}]",
            r"outputs.fire\[0\]: expected a name of the driver, or one name",
        ),
        ("      interval: waveform_xincrem\n", "", "give `rate` or `interval`"),
        ("      play:", "      paly:", "unknown key; did you mean 'play'"),
        ("    levels:", "    level:", "unknown key; did you mean 'levels'"),
        ("qcodes:qcodes_contrib", "qcodes_contrib", "has a driver that knows its role: leave levels out"),
        ("    kind: qcodes:qcodes_contrib", "    type: x\n    kind: qcodes_contrib", "unknown key"),
        (
            "limits: [-5 V, 5 V]\n      level",
            "limits: [1 V, 5 V]\n      level",
            "safe level of bias puts 0 V on bias.ch01",
        ),
        (
            "limits: [-5 V, 5 V]\n      level",
            "limits: [-6 V, -4 V]\n      level",
            "no range of bias.ch01 is allowed by all",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, words: str) -> None:
    assert TEXT.count(old) >= 1, old
    with pytest.raises(ConfigurationError, match=words):
        station_from(TEXT.replace(old, new), Path("station.yaml"))


def test_a_role_is_said_once_and_kind_is_type() -> None:
    station = station_from(TEXT, Path("station.yaml")).station
    assert station.instruments["awg"].type == "qcodes:qcodes.instrument_drivers.Keysight.Keysight33522B"
    without = TEXT[: TEXT.index("    levels:")] + RIG
    with pytest.raises(ConfigurationError, match="give one of outputs, inputs or levels, not none"):
        station_from(without, Path("station.yaml"))


def test_validate_looks_at_such_a_station_and_imports_no_driver(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    shell = Shell(tmp_path)
    shell.write(TEXT.replace("qcodes_contrib_drivers.drivers.QDevil.QDAC2.QDac2", "beside.Driver"), "station.yaml")
    status, said, _ = shell("validate", "station.yaml")
    assert status == 0 and "in order" in said
    assert not (tmp_path / "ran").exists()
