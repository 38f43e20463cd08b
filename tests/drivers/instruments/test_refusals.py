"""What an instrument does not know is named at once, and what it has not is refused when it is opened."""

import numpy as np
import pytest

from drivers.instruments import open_instrument
from drivers.roles import Burst
from drivers.transport import Direction, LinkError, TrafficLog
from labrhel.errors import ConfigurationError, InstrumentError
from labrhel.testing.waiting import PATIENCE

BENCH = """
instruments:
  awg: {kind: keysight_33600, model: 33511B}
  scope: {kind: infiniivision, model: MSO-X 3012A}
  rigol: {kind: rigol_ds1000z}
leads:
  - {wire: awg.ch1, to: f1}
  - {wire: q1, to: scope.ch1}
  - {wire: q2, to: rigol.ch1}
"""
LONG = {"timeout": PATIENCE}  # a time-out would be noticed: the link has to be mended after one


@pytest.mark.parametrize("name", ["awg", "scope"])
def test_a_refused_command_or_question_names_itself_and_costs_no_time_out(start, opened, name):
    bench = start(BENCH)
    box = opened(bench, name, **LONG)
    with pytest.raises(InstrumentError, match=r"-113.* after :FOO 1"):
        box.write(":FOO 1")
    with pytest.raises(InstrumentError, match=r"-113.* after :FOO\?"):
        box.ask(":FOO?")
    with pytest.raises(InstrumentError, match=r"-113.* after :FOO 1; \*IDN\?"):
        box._do(":FOO 1", "*IDN?")
    with pytest.raises(InstrumentError, match=r"-113.* after \*STB\?; :FOO\?"):
        box._do("*STB?", ":FOO?")
    assert box.link.in_step
    box.write("*CLS")  # the next command carries no refusal of another one
    assert box._mendings == 0 and box.ask("*STB?") == "+0"


def test_an_instrument_that_answers_no_unknown_question_is_asked_for_errors_before_its_wire_is_blamed(start, opened):
    box = opened(start(BENCH), "rigol", timeout=0.5)
    with pytest.raises(InstrumentError, match=r"-113.* after :FOO\?"):
        box.ask(":FOO?")
    box.write("*CLS")


def test_where_commands_are_messages_of_their_own_they_take_one_exchange_and_a_refused_one_is_named(start, opened):
    log = TrafficLog()
    box = opened(start(BENCH), "rigol", log=log, **LONG)
    before = len(log.newest())
    assert box._do(":CHAN1:DISP ON", ":CHAN2:DISP ON", ":CHAN1:DISP?", ":CHAN1:DISP OFF") == ["1"]
    sent = [piece.data for piece in log.newest()[before:] if piece.direction is Direction.SENT]
    assert sent == [
        b":CHAN1:DISP ON\n", b":CHAN2:DISP ON\n", b":CHAN1:DISP?\n", b":CHAN1:DISP OFF\n", b":SYST:ERR?\n"
    ]  # fmt: skip
    with pytest.raises(InstrumentError, match=r"-113.* after :CHAN1:DISP ON; :FOO 1; :CHAN2:DISP ON"):
        box._do(":CHAN1:DISP ON", ":FOO 1", ":CHAN2:DISP ON")
    assert box.link.in_step and box._mendings == 0


def test_an_error_that_was_there_before_is_not_put_down_to_the_next_question(start, opened):
    bench = start(BENCH)
    box = opened(bench, "awg", **LONG)
    bench.hosts["awg"].device.report(-310, "old")
    with pytest.raises(InstrumentError, match=r"-310.* of something that came before :OUTP1\?"):
        box.ask(":OUTP1?")
    assert box.ask(":OUTP1?") == "0"


def test_a_generator_with_one_output_is_one_and_is_switched_off_by_a_message_of_its_own(start, opened):
    bench, log = start(BENCH), TrafficLog()
    awg = opened(bench, "awg", log=log, **LONG)
    assert list(awg.outputs) == ["ch1"]
    awg.load({"ch1": Burst(np.array([0.0, 1.0, 0.0]), 1e3)})
    awg.arm(source="software")
    assert bench.hosts["awg"].device.values["output", 1]
    before = len(log.newest())
    awg.make_safe()
    assert not bench.hosts["awg"].device.values["output", 1]
    assert log.newest()[before].data == b":OUTP1 OFF\n"
    assert not [piece for piece in log.newest() if b"TRIG2" in piece.data or b"OUTP2" in piece.data]


def test_an_oscilloscope_with_two_inputs_has_two(start, opened):
    scope = opened(start(BENCH), "scope", **LONG)
    assert list(scope.inputs) == ["ch1", "ch2"]
    assert scope.triggers == ("ch1", "ch2", "external")


@pytest.mark.parametrize("identity", ["RIGOL TECHNOLOGIES,DS1202Z-E,1,1", "Agilent Technologies,33502A,1,1"])
def test_a_model_that_the_driver_does_not_know_is_refused_by_name(start, identity):
    bench = start(BENCH)
    kind, name = ("rigol_ds1000z", "rigol") if "RIGOL" in identity else ("keysight_33600", "awg")
    bench.hosts[name].device.identity = tuple(identity.split(","))
    with pytest.raises(ConfigurationError, match="which is no"):
        open_instrument(kind, "other", bench.addresses[name]["socket"])


@pytest.mark.parametrize("answer", ["+0", "garbage", "1,2,3", "0,0,x,1,1,1,1,1,1,1", ""])
@pytest.mark.parametrize("name", ["scope", "rigol"])
def test_a_preamble_that_is_none_is_one_sentence(start, opened, monkeypatch, name, answer):
    bench = start(BENCH)
    device, box = bench.hosts[name].device, opened(bench, name, timeout=1.0, patience=1.0)
    own = type(device)._run

    def run(self, header, unit):
        return answer if header.upper().startswith("WAV") and "PRE" in header.upper() else own(self, header, unit)

    monkeypatch.setattr(type(device), "_run", run)
    with pytest.raises((InstrumentError, LinkError), match=r":WAV:PRE\?"):
        box.record("ch1", None)
