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


PORT = "u1: {terminal: awg.ch1, limits: [-5 V, 5 V]}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "qcodes:qcodes.instrument_drivers.Keysight.Keysight33522B",
            "qcodes:foo",
            r"yaml:3: instruments.awg.kind: a driver is named by its module and class, .*, not 'qcodes:foo'",
        ),
        ("qcodes:qcodes_contrib_drivers", "qcodes:/tmp/x/evil.Awg", r"instruments.bias.kind: a driver is named by"),
        ("qcodes:qcodes_contrib_drivers", "qcodes:..evil.Awg", r"instruments.bias.kind: a driver is named by"),
        ("qcodes:qcodes_contrib_drivers", "qcodes:__main__.Awg", r"instruments.bias.kind: a driver is named by"),
        (
            PORT,
            PORT.replace("ch1", "ch3"),
            r"ports.u1.terminal: there is no terminal awg.ch3: instruments.awg.outputs.terminals lists ch1, ch2",
        ),
        (
            PORT,
            PORT.replace("awg", "scope"),
            r"ports.u1.terminal: scope is a digitizer, not a generator: scope.ch1 can",
        ),
        (PORT, PORT.replace("awg", "bias").replace("ch1", "ch01"), r"bias is a source of levels, not a generator"),
        (
            PORT,
            PORT.replace("[-5 V, 5 V]", "[-5 V, 6 V]"),
            r"ports.u1.limits: the limits \[-5 V, 6 V\] of u1 must be within those of awg.ch1, \[-5 V, 5 V\] \(instrum",
        ),
        (
            PORT,
            PORT.replace("}", ", safe: 0.5 V}"),
            r"ports.u1.safe: awg.ch1 is off when it is safe, .* leave `safe` out",
        ),
        (
            "limits: [-3 V, 5 V]",
            "limits: [-3 V, 6 V]",
            r"knobs.stiffness.limits: the limits .* within those of bias.ch01",
        ),
        (
            "terminals: [bias.ch01]",
            "terminals: [bias.ch1]",
            r"knobs.stiffness.terminals\[0\]: there is no terminal bias",
        ),
        (
            "q1: {terminal: scope.ch1",
            "q1: {terminal: scope.ch5",
            r"channels.q1.terminal: there is no terminal scope.ch5",
        ),
        (
            "q1: {terminal: scope.ch1",
            "q1: {terminal: awg.ch1",
            r"channels.q1.terminal: awg is a generator, not a digit",
        ),
        (
            "terminal: ch4, level",
            "terminal: external, level",
            r"seen_by.scope.terminal: there is no terminal scope.ext",
        ),
        (
            "      memory: 30000",
            "      triggers: [ext]\n      memory: 30000",
            r"instruments.scope.inputs.triggers lists ext",
        ),
        (
            "fired_by: awg",
            "fired_by: bias",
            r"trigger.fired_by: bias is a source of levels, not a generator: it cannot",
        ),
        ("seen_by: {scope", "seen_by: {awg", r"seen_by.awg: awg is a generator, not a digitizer: it sees no trigger"),
        ("      fire: [force_trigger]\n", "", r"trigger.fired_by: awg is to fire, and has no steps `fire`: say in"),
        (
            "terminals: [ch1, ch2]",
            "terminals: [ch1, ch2, ch1]",
            r"yaml:6: .*outputs.terminals: ch1 is named twice; keep",
        ),
        ("rates: [1 Hz, 62.5 MHz]", "rates: [62.5 MHz, 1 Hz]", r"outputs.rates: the lower one comes first"),
        ("rates: [250 kHz, 500 kHz]", "rates: [0 Hz]", r"inputs.rates\[0\]: must be > 0, not"),
        (
            "limits: [-5 V, 5 V]\n      bits",
            "limits: [5 V, -5 V]\n      bits",
            r"outputs.limits: the lower one comes fir",
        ),
        (
            "limits: [-5 V, 5 V]\n      level",
            "limits: [-5 V, 5 V]\n      safe: {ch03: 0 V}\n      level",
            r"bias.levels.safe.ch03: there is no terminal bias.ch03: instruments.bias.levels.terminals lists ch01",
        ),
        ('off: "OFF"', 'off: "ON"', r"awg.outputs: `on` and `off` are both the word 'ON': say what switches"),
        (
            "    levels:",
            "    init: {timeout: 3, name: x}\n    levels:",
            r"bias.init.name: init: name of a driver is set",
        ),
        ("    levels:", "    init: {address: x}\n    levels:", r"bias.init.address: init: address of a driver is set"),
        (
            "    levels:",
            "    init: {dll: ./x}\n    levels:",
            r"bias.init.dll: init: dll: a station file names no files",
        ),
        ('"{amplitude}"', '"{amplitude / 0}"', r"outputs: play\[9\]: \{amplitude / 0\} has no value: it divides by 0"),
        ('"{amplitude}"', '"{amplitude / (2 - 2 * 1)}"', r"has no value: it divides by 0"),
        ('"{amplitude}"', '"{1e999}"', r"outputs: play\[9\]: every value must be a finite number"),
        ('"{amplitude}"', '"{name * 999999999}"', r"\{name \* 999999999\} has no value: name is a text, not a number"),
        (
            "{terminal}.dc_constant_V",
            "__class__.__init__",
            r"levels.level: '__class__.__init__' is no name of a driver",
        ),
        ("fire: [force_trigger]", "fire: [sync._write: 1]", r"outputs.fire\[0\]: 'sync._write' is no name of a driver"),
        ("fire: [force_trigger]", 'fire: ["*TRG"]', r"'\*TRG' is no name of a driver, .* is the argument of `write`"),
        ('output: "{terminal}.output"', 'output: "{terminal}..output"', r"outputs.output: .* is no name of a driver"),
        ('off: "OFF"', 'off: "{of}"', r"outputs: off: nothing is called \{of\} here"),
        (
            "  knobs:",
            "  ramps: {bias.ch01: {time: 1s}}\n  knobs:",
            r"ramps.bias.ch01: bias.ch01 goes off when it is",
        ),
        ("      interval: waveform_xincrem\n", "", r"or the time between samples: neither is given"),
        ("      interval:", "      rate: ch1\n      interval:", r"or the time between samples: not both"),
    ],
)
def test_what_can_be_decided_without_the_driver_is_decided_by_validate(old: str, new: str, words: str) -> None:
    assert TEXT.count(old) >= 1, old
    with pytest.raises(ConfigurationError, match=words) as caught:
        station_from(TEXT.replace(old, new, 1), Path("station.yaml"))
    assert caught.value.line


def test_a_role_is_said_once_and_kind_is_type() -> None:
    station = station_from(TEXT, Path("station.yaml")).station
    assert station.instruments["awg"].type == "qcodes:qcodes.instrument_drivers.Keysight.Keysight33522B"
    without = TEXT[: TEXT.index("    levels:")] + RIG
    with pytest.raises(ConfigurationError, match="give outputs, inputs or levels, or several of them"):
        station_from(without, Path("station.yaml"))


def test_validate_looks_at_such_a_station_and_imports_no_driver(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    shell = Shell(tmp_path)
    shell.write(TEXT.replace("qcodes_contrib_drivers.drivers.QDevil.QDAC2.QDac2", "beside.Driver"), "station.yaml")
    status, said, _ = shell("validate", "station.yaml")
    assert status == 0 and "in order" in said
    assert not (tmp_path / "ran").exists()
