"""What a check answers, what stops the kit, and the command line."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labrhel.conformance import Finding, NotApplicable, Outcome, Subject, chosen, judge, subject_of, summary
from labrhel.conformance.check import check
from labrhel.errors import ConfigurationError, TransportError
from labrhel.rig.capabilities import Kind
from labrhel.shots.capture import Capture
from labrhel.shots.compiled import CompiledShot
from labrhel.testing.command_line import call
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig
from simbackend.testing.seeded_drivers import MODEL, STEP, Driver, PortOfTheWrongSign, subject


@check("it is small enough")
def bounded(subject: Subject) -> Finding:
    return Finding("half", 0.5, 1.0)


@check("it is a number")
def unbounded(subject: Subject) -> Finding:
    return Finding("no number", float("nan"), 1.0)


@check("it is there")
def absent(subject: Subject) -> Finding:
    raise NotApplicable("there is none")


@check("it is careful")
def careless(subject: Subject) -> Finding:
    raise KeyError("x")


def test_a_check_passes_fails_or_does_not_apply_and_says_so_in_one_line() -> None:
    with subject(Driver) as opened:
        results = list(judge(opened, (bounded, unbounded, absent, careless)))
    passed, failed, lacking = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_APPLICABLE
    assert [item.outcome for item in results] == [passed, failed, lacking, failed]
    assert summary(results) == "4 checks: 1 passed, 2 failed, 1 not applicable"
    assert str(results[2]) == "not applicable: it is there: there is none"
    assert "KeyError is not one of labrhel.errors" in results[3].found


def test_an_input_that_pushes_nothing_in_the_model_needs_no_port_and_one_that_does_is_asked_for() -> None:
    class Portless(SimulatedRig):
        def __init__(self, model: OscillatorNetwork) -> None:
            super().__init__(model)
            ports = tuple(port for port in self.capabilities.ports if port.kind is not Kind.INPUT)
            self.capabilities = replace(self.capabilities, ports=ports)

    for weight, outcome in ((0.0, Outcome.NOT_APPLICABLE), (1.0, Outcome.FAILED)):
        model = OscillatorNetwork(1, nominal={"input": [[weight]]})
        with Subject(lambda model=model: Portless(model), model, STEP) as opened:
            (result,) = judge(opened, chosen("every input of the nominal model"))
        assert result.outcome is outcome, str(result)


class Unplugged(SimulatedRig):
    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        raise TransportError("the cable is out")


def test_a_rig_that_cannot_be_reached_is_not_judged() -> None:
    with Subject(lambda: Unplugged(MODEL), MODEL, STEP) as opened, pytest.raises(TransportError, match="cable"):
        list(judge(opened, chosen("captures")))


def test_a_url_without_a_model_asks_for_one() -> None:
    with pytest.raises(ConfigurationError, match="names no nominal model"):
        subject_of("sim:")
    with subject_of("sim:", "coupled_oscillators") as opened:
        assert opened.step == 0.2


def test_no_drive_exceeds_what_ports_and_channels_declare() -> None:
    with subject_of("sim:coupled_oscillators?adc_bits=12&adc_range=0.1&dac_bits=12&dac_range=0.05") as opened:
        for port in opened.ports:
            assert 0 < opened.amplitude(port) <= 0.025
            assert all(abs(trace).max() < 0.05 for trace in opened.expected(opened.answer(port)).values())


SUITE = """
from labrhel.conformance import subject_of
from labrhel.conformance.suite import RigConformance

class TestMyRig(RigConformance):
    @classmethod
    def open(cls):
        return subject_of("sim:coupled_oscillators?q2.gain=-1")
"""


def test_as_a_suite_each_check_is_a_test_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(SUITE)
    words = [sys.executable, "-m", "pytest", "-q", "-rsf", "-k", "response or sums", "-p", "no:cacheprovider", "."]
    answer = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "every channel shows motion with the sign of the model: q2 has the wrong sign" in answer.stdout
    assert "4 skipped" in answer.stdout
    assert "warning" not in answer.stdout


def test_the_command_prints_tables_writes_json_and_returns_0_when_all_pass(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "findings.json"
    assert call("conformance", "sim:coupled_oscillators", "--only", "response", "--json", str(file)) == 0
    out = capsys.readouterr().out
    assert "│ response │" in out
    assert out.strip().endswith("12 checks: 12 passed")
    found = json.loads(file.read_text())
    assert found["summary"] == "12 checks: 12 passed"
    assert {item["outcome"] for item in found["results"]} == {"passed"}


def test_the_command_returns_1_for_a_failure_2_for_bad_input_and_3_for_a_rig_that_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("conformance", "sim:coupled_oscillators?port_gain=10%", "--only", "scale") == 1
    assert "of the model's scale" in capsys.readouterr().out
    assert call("conformance", "sim:coupled_oscillators", "--only", "nonsense") == 2
    assert "the themes are: declaration" in capsys.readouterr().err
    monkeypatch.setattr(SimulatedRig, "run", Unplugged.run)
    assert call("conformance", "sim:coupled_oscillators", "--only", "captures") == 3
    assert "the cable is out" in capsys.readouterr().err


def test_a_wrong_sign_is_said_with_the_name_of_the_port() -> None:
    with subject(PortOfTheWrongSign) as opened:
        (result,) = judge(opened, chosen("a positive push"))
    assert result.found == "f3 pushes q3 the wrong way"
