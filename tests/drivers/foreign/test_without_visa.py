"""A driver without VISA, made with a host and a port: it sets a rig's parameter, is leased, stopped and made safe."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import labrhel
from drivers.devices import find
from drivers.foreign.calls import Calls
from drivers.instruments import open_section
from drivers.qcodes_station import qcodes_station
from drivers.roles import LevelSource
from drivers.transport.permit import StoppedError, as_long_as
from labrhel.cli.finding import instruments_of
from labrhel.config.station import load_station, station_from
from labrhel.errors import ConfigurationError, TransportError
from labrhel.rig.devices import State
from labrhel.testing.waiting import PATIENCE
from simbackend.testing.stock_drivers import INSTRUMENTS, RIG, bench_and_station
from simbackend.virtual_bench import Bench

DRIVER = """\
from qcodes.instrument import IPInstrument


class Bias(IPInstrument):
    def __init__(self, name, host, port):
        super().__init__(name, host, port, write_confirmation=False)
        for number in (1, 2):
            self.add_parameter(
                f"level{number}", get_cmd=f"sour{number}:volt?", get_parser=float, set_cmd=f"sour{number}:volt {{}}"
            )
"""
BIAS = """\
  bias:
    kind: qcodes:lab_bias.Bias
    arguments: {host: 127.0.0.1, port: PORT}
    levels:
      terminals: [ch01, ch02]
      limits: [-5 V, 5 V]
      level: "level{number}"
      errors: {ask: ["syst:err?"]}
"""
BIAS_OF_STOCK = "  bias:" + INSTRUMENTS.partition("  bias:")[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The driver in an editable package, as pip records one."""
    packages, mine = tmp_path / "packages", tmp_path / "mine"
    (packages / "lab_bias-1.0.dist-info").mkdir(parents=True)
    mine.mkdir()
    (mine / "lab_bias.py").write_text(DRIVER)
    told = {"METADATA": "Metadata-Version: 2.1\nName: lab-bias\nVersion: 1.0\n", "top_level.txt": "lab_bias\n",
            "direct_url.json": json.dumps({"url": mine.as_uri(), "dir_info": {"editable": True}})}  # fmt: skip
    for name, text in told.items():
        (packages / "lab_bias-1.0.dist-info" / name).write_text(text)
    monkeypatch.setattr("sysconfig.get_path", lambda kind: str(packages))
    monkeypatch.syspath_prepend(str(mine))
    yield
    sys.modules.pop("lab_bias", None)


@contextmanager
def station(folder: Path) -> Iterator[tuple[Bench, Path]]:
    with bench_and_station(folder) as (bench, file):
        port = bench.addresses["bias"]["socket"].split("::")[2]
        text = file.read_text()
        begin, end = text.index("  bias:"), text.index("\nrig:") + 1
        file.write_text(text[:begin] + BIAS.replace("PORT", port) + text[end:])
        yield bench, file


def bias_of(bench: Bench) -> float:
    with bench.clock.lock:
        return bench.world.volts("bias.ch1")


def test_a_driver_that_is_made_with_host_and_port_is_leased_stopped_and_made_safe(
    tmp_path: Path, installed: None
) -> None:
    with station(tmp_path) as (bench, file):
        document = load_station(file)
        section = document.station.instruments["bias"]
        box = open_section("bias", section)
        try:
            assert isinstance(box, LevelSource)
            box.set_levels({"ch01": 1.5})
            assert bias_of(bench) == pytest.approx(1.5)
            with pytest.raises(TransportError, match=r"driver:lab_bias.Bias\{.*\} is in use by process .* this very"):
                open_section("other", section)
            (found,) = (device for device in find(instruments_of(document)[2:], 1.0) if device.name == "bias")
            assert found.state is State.IN_USE

            def refuse() -> None:
                raise StoppedError("stopped")

            with as_long_as(refuse), pytest.raises(StoppedError):
                box.set_levels({"ch01": 2.0})
            assert bias_of(bench) == pytest.approx(1.5)
        finally:
            box.close()
        assert bias_of(bench) == 0.0
        (found,) = (device for device in find(instruments_of(document)[2:], 1.0) if device.name == "bias")
        assert (found.state, found.note[:28]) == (State.LISTED, "its driver has no address, a")
        by_hand = qcodes_station(file).load_instrument("bias")
        assert by_hand.level1() == 0.0
        by_hand.close()


def test_a_rig_with_such_a_driver_is_trained_and_cannot_be_replayed_from_its_wires(
    tmp_path: Path, installed: None
) -> None:
    with station(tmp_path) as (bench, file):
        url = f"bench:{file}?traffic={tmp_path / 'wires.jsonl'}"
        with labrhel.load_experiment(tmp_path / "config.yaml", rig_url=url) as experiment:
            losses = [step.loss for step in experiment]
            assert len(losses) == 4 and losses[-1] < 0.5 * losses[0]
            assert bias_of(bench) > 1.05  # from 1 V, towards the teacher's 2 V
        assert bias_of(bench) == 0.0
        with pytest.raises(ConfigurationError, match="bias has a driver without a wire: what it said is on no record"):
            labrhel.load_experiment(tmp_path / "config.yaml", rig_url=url.replace("?traffic=", "?wires="))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "    arguments: {host: 127.0.0.1, port: 1}\n",
            "",
            "give its VISA `address`, or, for a driver without VISA, the",
        ),
        ("port: 1}", 'port: 1}\n    address: "TCPIP::h::1::SOCKET"', "are made with, not both|is made with, not both"),
        ("port: 1}", "port: 1, name: x}", "arguments: name of a driver is set here: leave it out"),
        ("host: 127.0.0.1", "host: ../lib.so", "arguments: host: a station file names no files, such as '../lib.so'"),
    ],
)
def test_what_cannot_be_meant_is_found_when_the_file_is_read(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = INSTRUMENTS.replace(BIAS_OF_STOCK, BIAS.replace("PORT", "1")) + RIG
    assert old in text
    with pytest.raises(ConfigurationError, match=words):
        station_from(text.replace(old, new), tmp_path / "station.yaml")


def test_arguments_that_a_driver_does_not_take_and_drivers_of_the_other_kind_are_refused(
    tmp_path: Path, installed: None
) -> None:
    with station(tmp_path) as (_, file):
        text = file.read_text()
        for old, new, words in (
            ("host:", "hots:", "Bias has no argument 'hots'; did you mean 'host'"),
            (
                "lab_bias.Bias",
                "qcodes.instrument_drivers.rigol.RigolDS1074Z",
                "is a driver of a VISA instrument: give its",
            ),
        ):
            file.write_text(text.replace(old, new))
            with pytest.raises(ConfigurationError, match=words):
                open_section("bias", load_station(file).station.instruments["bias"])
        address = 'address: "TCPIP::127.0.0.1::1::SOCKET"'
        start = text.index("    arguments:")
        file.write_text(text[:start] + f"    {address}" + text[text.index("\n", start) :])
        with pytest.raises(ConfigurationError, match="Bias is no driver of a VISA instrument"):
            open_section("bias", load_station(file).station.instruments["bias"])


def test_making_safe_waits_for_a_call_that_goes_on_and_gives_up_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.foreign.calls._LONGEST", 0.05)
    calls, goes_on, holds = Calls("bias", "driver:x{}"), threading.Event(), threading.Event()

    def call() -> None:
        with calls.exclusive():
            holds.set()
            goes_on.wait(PATIENCE)

    thread = threading.Thread(target=call)
    thread.start()
    assert holds.wait(PATIENCE)
    with pytest.raises(TransportError, match="does not come back from a call, and has no wire"), calls.taken_over(0.01):
        pass
    goes_on.set()
    thread.join(PATIENCE)
    with calls.taken_over(PATIENCE):
        pass
    calls.close()
