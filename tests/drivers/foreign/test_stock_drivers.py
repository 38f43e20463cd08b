"""Instruments with drivers of QCoDeS and its contributions, in a station: trained, limited, stopped, and recorded."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes.instrument_drivers.Keysight import Keysight33522B
from qcodes.parameters import create_on_off_val_mapping

import labrhel
from drivers.devices import find
from drivers.foreign.source import ForeignSource
from drivers.instruments import open_section
from drivers.roles import Burst, Digitizer, Generator, LevelSource, Window
from drivers.transport import Direction, TrafficLog, read_traffic
from drivers.transport.permit import StoppedError, as_long_as, making_safe
from labrhel import plugins
from labrhel.config.station import load_station, station_from
from labrhel.errors import (
    ConfigurationError,
    InstrumentError,
    LabrhelError,
    LimitError,
    ProgramError,
    TransportError,
)
from labrhel.learning.checking import compare
from labrhel.rig.devices import Asked, State
from labrhel.safety import ledger
from labrhel.testing.waiting import PATIENCE, wait_for
from simbackend.testing.stock_drivers import INSTRUMENTS, bench_and_station, opened, volts

pytest.importorskip("qcodes_contrib_drivers", reason="qcodes-contrib-drivers is not installed")
PAGE = Path(__file__).parents[3] / "docs" / "your-bench.md"


@contextmanager
def boxes_on(folder: Path, *changes: tuple[str, str], log: TrafficLog | None = None, speed: float = float("inf")):
    """The bench, and the boxes of its station without a rig around them."""
    with bench_and_station(folder, *changes, speed=speed) as (bench, file), ExitStack() as opened_boxes:
        boxes = {}
        for name, section in load_station(file).station.instruments.items():
            boxes[name] = open_section(name, section, log=log)
            opened_boxes.callback(boxes[name].release)
        yield bench, boxes


def test_a_rig_of_stock_drivers_gives_the_exact_gradient_is_trained_and_its_traffic_answers_for_it(
    tmp_path: Path,
) -> None:
    traffic = tmp_path / "wires.jsonl"
    with opened(tmp_path, settings=f"?traffic={traffic}") as (bench, experiment):
        assert "33522B" in experiment.rig.capabilities.firmware and "QDAC-II" in experiment.rig.capabilities.firmware
        found = experiment.gradient()
        problem = experiment.problem
        theta = problem.theta(problem.parameters.flat())
        loss, expected = plugins.exact_gradient(experiment.model_kind)(problem.task, problem.train, theta)
        _, error = compare(found.values["stiffness"].ravel(), expected["stiffness"].ravel())
        assert found.loss == pytest.approx(loss, rel=0.03) and error < 0.05
        losses = [step.loss for step in experiment]
        assert len(losses) == 4 and losses[-1] < 0.5 * losses[0]
        assert bench.world.volts("bias.ch1") > 1.05  # from 1.0 V, towards the teacher's 2.0 V
        before = traffic.stat().st_size
        with pytest.raises(LimitError, match=r"bias.ch01 would get -3.5 V for stiffness; allowed is \[-3 V, 5 V\]"):
            experiment.rig.configure({"stiffness": np.array([-3.5])})
        assert traffic.stat().st_size == before
    assert volts(bench) == [0.0, 0.0, 0.0]
    pieces = list(read_traffic(traffic))
    assert len({piece.link for piece in pieces}) == 3
    assert any(piece.data.startswith(b"SOUR2:DATA:ARB:DAC L") for piece in pieces if piece.direction is Direction.SENT)
    url = f"bench:{tmp_path / 'station.yaml'}?wires={traffic}"  # with nothing attached
    with labrhel.load_experiment(tmp_path / "config.yaml", rig_url=url) as replayed:
        assert replayed.gradient().values["stiffness"] == found.values["stiffness"]
        assert [step.loss for step in replayed] == losses


def test_each_box_is_what_its_station_file_says(tmp_path: Path) -> None:
    with boxes_on(tmp_path) as (_, boxes):
        kinds = {name: [kind for kind in (Generator, Digitizer, LevelSource) if isinstance(box, kind)]
                 for name, box in boxes.items()}  # fmt: skip
        assert kinds == {"awg": [Generator], "scope": [Digitizer], "bias": [LevelSource]}
        assert boxes["scope"].identity.startswith("RIGOL TECHNOLOGIES,DS1074Z,")
        file = tmp_path / "station.yaml"
        with pytest.raises(TransportError, match=r"in use by process .* this very program"):
            open_section("other", load_station(file).station.instruments["bias"])


def test_a_value_beyond_a_limit_is_refused_before_the_driver_is_called(tmp_path: Path) -> None:
    log = TrafficLog()
    with boxes_on(tmp_path, log=log) as (bench, boxes):
        before = len(log.newest())
        with pytest.raises(LimitError, match=r"bias.ch01 would get 5.5 V; allowed is \[-5, 5\] V; nothing was sent"):
            boxes["bias"].set_levels({"ch02": 1.0, "ch01": 5.5})
        with pytest.raises(LimitError, match=r"awg.ch2 would get 5.1 V; allowed is \[-5, 5\] V; nothing was sent"):
            boxes["awg"].load({"ch2": Burst(np.array([0.0, 5.1, 0.0]), 1e5)})
        with pytest.raises(LimitError, match="holds 1000000 samples"):
            boxes["awg"].load({"ch1": Burst(np.zeros(1_000_001), 1e5)})
        with pytest.raises(LimitError, match="would get nan V"):
            boxes["bias"].set_levels({"ch01": float("nan")})
        with pytest.raises(ProgramError, match="cannot idle at 1 V"):
            boxes["awg"].load({"ch1": Burst(np.ones(9), 1e5, idle=1.0)})
        with pytest.raises(LimitError, match="memory of 30000 samples"):
            boxes["scope"].prepare(Window(0.0, 1.0, 250e3, {"ch1": (-1, 1)}), "ch4", 1.0)
        assert len(log.newest()) == before
        assert volts(bench) == [0.0, 0.0, 0.0]


def test_a_stop_in_the_middle_of_a_burst_switches_off_though_the_driver_waits(tmp_path: Path) -> None:
    with boxes_on(tmp_path, speed=1.0) as (bench, boxes):
        awg, bias = boxes["awg"], boxes["bias"]
        bias.set_levels({"ch01": 2.0, "ch02": -1.0})
        awg.load({"ch1": Burst(np.concatenate([[0.0], np.ones(600_000), [0.0]]), 1e4)})  # a minute
        awg.arm(source="software")
        awg.fire()
        failures: list[LabrhelError] = []

        def wait() -> None:  # within an exchange that is not answered for the five seconds of its driver
            try:
                awg.wait(60.0)
            except LabrhelError as error:
                failures.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_for(lambda: volts(bench)[0] == pytest.approx(1.0, abs=0.01), "the burst")
        begun = time.monotonic()
        awg.make_safe()
        bias.make_safe()
        took = time.monotonic() - begun
        assert volts(bench) == [0.0, 0.0, 0.0]
        print(f"a stop took {took:.3f} s")
        assert took < 2.5
        waiting.join(PATIENCE)
        assert isinstance(failures[0], (TransportError, InstrumentError))
        with pytest.raises(InstrumentError, match="nothing to play: load it before it is armed"):
            awg.arm(source="software")
        assert bias.set_levels({"ch01": 0.5}) == {"ch01": pytest.approx(0.5, abs=1e-3)}  # and it works again


def test_nothing_is_sent_by_a_driver_once_its_thread_may_not(tmp_path: Path) -> None:
    with boxes_on(tmp_path) as (bench, boxes):

        def stopped() -> None:
            raise StoppedError("stopped")

        with as_long_as(stopped):
            for action in (
                lambda: boxes["bias"].set_levels({"ch01": 1.0}),
                lambda: boxes["bias"].driver.ch01.dc_constant_V(1.0),  # below the box, too
                lambda: boxes["awg"].load({"ch1": Burst(np.zeros(9), 1e5)}),
            ):
                with pytest.raises(StoppedError, match="stopped"):
                    action()
            boxes["bias"].make_safe()
        assert bench.world.volts("bias.ch1") == 0.0


def test_levels_that_stay_on_go_to_their_safe_voltage_and_the_others_to_none(tmp_path: Path) -> None:
    with boxes_on(tmp_path, ("      level:", "      safe: {ch01: 0.25 V}\n      level:")) as (bench, boxes):
        bias = boxes["bias"]
        assert bias.held == {"ch01": 0.25}
        bias.set_levels({"ch01": 2.0, "ch02": 2.0})
        bias.switch_off()
        with bench.clock.lock:
            assert [bench.world.volts(name) for name in ("bias.ch1", "bias.ch2")] == [2.0, 0.0]
        bias.make_safe()
        assert bench.world.volts("bias.ch1") == pytest.approx(0.25)


OWNER = """
import sys, time
from pathlib import Path
import numpy as np
from drivers.roles import Burst
from labrhel.experiment import load_experiment
experiment = load_experiment(Path(sys.argv[1]), rig_url="bench:" + sys.argv[2])
boxes = experiment.rig._instruments
boxes["bias"].set_levels({"ch01": 2.0})
boxes["awg"].load({"ch1": Burst(np.concatenate([[0.0], np.ones(900_000), [0.0]]), 1e4)})
boxes["awg"].arm(source="software")
boxes["awg"].fire()
print("playing", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_the_guardian_opens_the_drivers_anew_and_switches_off_when_their_program_was_killed(tmp_path: Path) -> None:
    with bench_and_station(tmp_path, speed=1.0) as (bench, file):
        words = [sys.executable, "-c", OWNER, str(tmp_path / "config.yaml"), str(file)]
        environment = os.environ | {"LABRHEL_STATE": str(tmp_path / "state")}
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as owner:
            assert owner.stdout is not None
            try:
                assert owner.stdout.readline() == "playing\n"
                wait_for(lambda: volts(bench) == pytest.approx([1.0, 0.0, 2.0], abs=0.01), "the burst")
            finally:
                owner.send_signal(signal.SIGKILL)
        wait_for(lambda: volts(bench) == [0.0, 0.0, 0.0], "outputs that are off")


def test_what_a_driver_or_an_instrument_finds_wrong_is_one_sentence_with_its_terminal(tmp_path: Path) -> None:
    changes = (
        ('"{terminal}.burst_ncycles": 1', '"{terminal}.burst_ncycles": many'),
        ('- write: ":SING"', '- write: ":SINGULAR"'),
        ("      level:", '      prepare: [{write: "sour{number}:volt:sleu 3"}]\n      level:'),
    )
    with boxes_on(tmp_path, *changes) as (bench, boxes):
        with pytest.raises(
            InstrumentError, match=r"^awg: ch2.burst_ncycles of its driver failed: 'many' is not an int"
        ):
            boxes["awg"].load({"ch2": Burst(np.zeros(9), 1e5)})
        with pytest.raises(InstrumentError, match=r"^bias says -113, .* after ch01 were set"):
            boxes["bias"].set_levels({"ch01": 1.0})
        boxes["scope"].prepare(Window(0.0, 0.01, 250e3, {"ch1": (-1, 1)}), "ch4", 1.0)
        with pytest.raises(InstrumentError, match=r"scope says -113.* after it was armed"):
            boxes["scope"].arm()
        bench.close()
        with pytest.raises(
            TransportError, match=r"bias: ch01.dc_constant_V of its driver: VI_ERROR_.*: look at the dev"
        ):
            boxes["bias"].get_levels(["ch01"])


def test_names_that_a_driver_does_not_have_are_found_when_it_is_opened(tmp_path: Path) -> None:
    with bench_and_station(tmp_path) as (_, file):
        text = file.read_text(encoding="utf-8")
        for old, new, words in (
            ("dc_constant_V", "dc_constant_v", r"QDac2 has no 'ch01.dc_constant_v': did you mean 'dc_constant_V'"),
            ("dc_constant_V", "clear_measurements", "is a function, where a parameter is due"),
            ('{ask: "syst:err?"}', "visa_handle.visalib", "QDac2 has no 'visa_handle.visalib'"),
            ('{ask: "syst:err?"}', "set_address", "QDac2 has no 'set_address'"),
            ("QDAC2.QDac2", "QDAC2.QDac3", "has no 'QDac3'; did you mean 'QDac2'"),
            ("QDAC2.QDac2", "QDAC2.QDac2Channel", "is no QCoDeS driver of an instrument"),
        ):
            assert old in text
            section = station_from(text.replace(old, new), file).station.instruments["bias"]
            with pytest.raises(ConfigurationError, match=words):
                open_section("bias", section)
        section = load_station(file).station.instruments["bias"]
        assert section.levels is not None  # a file with this is refused when it is read
        hidden = section.levels.model_copy(update={"level": "__class__.{terminal}"})
        with pytest.raises(ConfigurationError, match=r"QDac2 has no '__class__.ch01'"):
            open_section("bias", section.model_copy(update={"levels": hidden}))


SWITCH = '      on: "ON"\n      off: "OFF"\n'
LEVEL = "      limits: [-5 V, 5 V]\n      level:"


REFUSED = (
    (SWITCH, "", r"yaml:\d+: instruments.awg.outputs: `off`: ch1.output of .* does not take False: .*'OFF'"),
    ('off: "OFF"', 'off: "AUS"', r"yaml:33: instruments.awg.outputs.off: `off`: ch1.output .* take 'AUS'"),
    ('on: "ON"', 'on: "AN"', r"yaml:32: instruments.awg.outputs.on: `on`: ch1.output .* does not take 'AN'"),
    ("errors: error", "errors: ask", r"outputs.errors: `errors`: ask of .* does not take nothing"),
    ('- write: ":STOP"\n      int', '- write: [":STOP", 1]\n      int', r"stop\[0\]: `stop.0`: .* does not take"),
    ("stop:\n", "stop:\n        - trigger_mode: never\n", r"inputs.stop\[0\]: .* trigger_mode .* not take 'never'"),
    ("stop:\n", "stop:\n        - waveform_xincrem: 1\n", r"stop\[0\]: .* waveform_xincrem .* cannot be set"),
    (LEVEL, LEVEL.replace("5 V]", "12 V]"), r"bias.levels.limits: `limits`: ch01.dc_constant_V .* not take 12.0"),
    (
        LEVEL,
        "      limits: [-5 V, 12 V]\n      safe: {ch01: 0.1 V, ch02: 11 V}\n      level:",
        r"bias.levels.safe.ch02: `safe.ch02`: ch02.dc_constant_V .* does not take 11.0",
    ),
    (LEVEL, "      output: '{terminal}.output_range'\n" + LEVEL, r"`off`: ch01.output_range .* take False"),
)


def test_what_making_safe_will_use_is_asked_of_the_driver_before_anything_is_driven(tmp_path: Path) -> None:
    with bench_and_station(tmp_path) as (bench, file):
        text = file.read_text(encoding="utf-8")
        for old, new, words in REFUSED:
            assert old in text, old
            document = station_from(text.replace(old, new), file)
            name = text[: text.index(old)].rpartition("\n    kind")[0].rpartition("\n  ")[2].rstrip(":")
            with pytest.raises(ConfigurationError, match=words), document.at("instruments", name):
                open_section(name, document.station.instruments[name])
        file.write_text(text.replace(SWITCH, ""), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=REFUSED[0][2]):
            labrhel.load_experiment(tmp_path / "config.yaml", rig_url=f"bench:{file}")
        assert not ledger.left()
        assert volts(bench) == [0.0, 0.0, 0.0]


def test_who_makes_safe_is_not_held_up_by_what_a_driver_would_not_take_now(tmp_path: Path) -> None:
    with bench_and_station(tmp_path, (LEVEL, LEVEL.replace("5 V]", "12 V]"))) as (_, file):
        section = load_station(file).station.instruments["bias"]
        with making_safe():
            open_section("bias", section).close()


def test_a_step_of_prepare_may_choose_the_range_in_which_limits_lie(tmp_path: Path) -> None:
    prepare = "      prepare: [{'{terminal}.output_range': high}]\n"
    with boxes_on(tmp_path, (LEVEL, prepare + LEVEL.replace("5 V]", "12 V]"))) as (_, boxes):
        assert boxes["bias"].levels["ch01"][1] == 12.0


class Worded(Keysight33522B):
    """With a switch as QCoDeS makes most: it takes many words for off, and answers False."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        for number, channel in enumerate((self.ch1, self.ch2), 1):
            channel.add_parameter(
                "switch",
                set_cmd=f"OUTP{number} {{}}",
                get_cmd=f"OUTP{number}?",
                val_mapping=create_on_off_val_mapping(on_val="1", off_val="0"),
            )


def test_whatever_word_a_driver_takes_for_off_is_off_when_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.foreign.box.driver_class", lambda type_: Worded)
    with bench_and_station(tmp_path, ('output: "{terminal}.output"', 'output: "{terminal}.switch"')) as (_, file):
        section = load_station(file).station.instruments["awg"]
        open_section("awg", section).close()
        assert section.outputs is not None
        same = section.outputs.model_copy(update={"on": 1, "off": "On"})
        with pytest.raises(ConfigurationError, match="`off`: 'On' is what switches ch1 on as well, 1: choose"):
            open_section("awg", section.model_copy(update={"outputs": same}))


def test_arithmetic_that_has_no_value_for_a_terminal_is_one_sentence(tmp_path: Path) -> None:
    division = ("      level:", "      prepare: [{write: 'SOUR{1 / (number - 1)}:X'}]\n      level:")
    words = r"'SOUR\{1 / \(number - 1\)\}:X' of the station file: .* has no value"
    with boxes_on(tmp_path, division) as (_, boxes), pytest.raises(ConfigurationError, match=words):
        boxes["bias"].set_levels({"ch01": 1.0})


def test_where_nobody_listens_the_sentence_is_that_of_our_own_links(tmp_path: Path) -> None:
    with bench_and_station(tmp_path) as (bench, file):
        section = load_station(file).station.instruments["bias"]
        box = open_section("bias", section, patience=0.2)
        assert isinstance(box, ForeignSource)
        bench.close()
        with pytest.raises(TransportError):  # the connection ends
            box.get_levels(["ch01"])
        with pytest.raises(
            TransportError, match=r"^bias: ch01.* of its driver: nobody listens there: look at the device"
        ):
            box.get_levels(["ch01"])
        box.release()
        with pytest.raises(TransportError, match=r"cannot be opened: nobody listens there: is it on, is the address"):
            open_section("bias", section, patience=0.2)


def test_looking_for_devices_names_the_driver_that_the_station_file_names(tmp_path: Path) -> None:
    with bench_and_station(tmp_path) as (_, file):
        sections = load_station(file).station.instruments
        asked = [Asked(section.address, name, section.type) for name, section in sections.items()]
        found = [device for device in find(asked, 20.0) if device.name]
        assert [(device.name, device.state, device.driver, device.note) for device in found] == [
            (name, State.ANSWERS, section.type, "") for name, section in sections.items()
        ]


def test_the_page_shows_the_instruments_of_this_station() -> None:
    assert INSTRUMENTS in PAGE.read_text(encoding="utf-8")
