"""A network on the vendor's emulator, over TCP as it comes: its contract, its gradient, and wires that fail."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.lucidac import LucidacRig
from drivers.testing.lucidac import emulator, emulator_process
from labrhel import plugins
from labrhel.arrays import Array
from labrhel.conformance import Outcome, Subject, judge
from labrhel.errors import ConfigurationError, DivergedError, InstrumentError, LimitError, ProgramError, TransportError
from labrhel.executor import RigBackend, execute, stack
from labrhel.frozen import FrozenArray
from labrhel.learning.rules import GradientRequest, Rule
from labrhel.learning.task import Task, TrialSequence
from labrhel.rig.model_side import model_side
from labrhel.shots.capture import Capture
from labrhel.shots.operations import RunShots
from labrhel.shots.program import Acquire, GivenState, Pass, ShotProgram
from protocols.differences import FiniteDifferences
from protocols.heb import HEB
from simbackend.models.oscillator_network import OscillatorNetwork

pytest.importorskip("lucipy")

PAIR: dict[str, Any] = {"stiffness": [60.0, 80.0], "coupling": 10.0, "cubic": [20.0, 0.0], "input": 0.0}
STARTED = PAIR | {"initial_position": [0.4, -0.3], "initial_momentum": [1.0, 2.0]}
BENT = np.array([True, False])  # cubic springs that there are


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with emulator() as found:
        yield found


def pair() -> OscillatorNetwork:
    return OscillatorNetwork(2, coupling="chain", nominal=PAIR, time_unit=1e-3, position_unit="V")


def opened(url: str, model: OscillatorNetwork | None = None) -> LucidacRig:
    rig = plugins.open_rig(f"lucidac:{url}", model or pair(), Path())
    assert isinstance(rig, LucidacRig)
    return rig


def shot(position: Array, momentum: Array, steps: int = 40, step: float = 0.01) -> ShotProgram:
    read = Acquire(("q1", "q2", "v1", "v2"), end_state=True)
    return ShotProgram(step, GivenState(FrozenArray(position), FrozenArray(momentum)), (Pass(steps, (), read),))


def fired(rig: LucidacRig, *programs: ShotProgram) -> list[Capture]:
    return stack(RigBackend(rig), rig.capabilities, rig.wiring).do(RunShots(programs))


def test_the_emulator_keeps_the_contract_of_a_rig(endpoint: str) -> None:
    with Subject(lambda: opened(f"{endpoint}?lanes=ideal"), pair(), step=0.01) as subject:
        results = list(judge(subject))
    assert [str(result) for result in results if result.outcome is Outcome.FAILED] == []
    assert sum(result.outcome is Outcome.PASSED for result in results) >= 40


def test_lanes_that_are_amplified_have_coarser_steps_and_say_so(endpoint: str) -> None:
    soft, stiff = (
        OscillatorNetwork(2, coupling="chain", nominal=PAIR | {"stiffness": [60.0, high]}, time_unit=1e-3)
        for high in (50.0, 95.0)
    )
    plain = opened(f"{endpoint}?lanes=ideal", soft)
    plain.close()
    rig = opened(f"{endpoint}?lanes=ideal", stiff)
    fine, coarse = (item.capabilities.knob("stiffness").resolution for item in (plain, rig))
    assert coarse == pytest.approx(10 * fine)
    achieved = rig.configure({"stiffness": np.array([60.0, 95.0])})["stiffness"]
    assert np.abs(achieved - [60.0, 95.0]).max() <= coarse / 2
    rig.close()


def gradient(rig: LucidacRig, model: OscillatorNetwork, rule: Rule) -> Array:
    """Of a loss at the end of half a millisecond, by springs, couplings and the cubic springs that there are."""
    steps = 120
    sequence = TrialSequence("one", {}, np.full((2, steps), 0.1), np.eye(steps)[-1])
    task = Task(model, model_side(rig.capabilities, rig.wiring), 0.004, 1, ("q1", "q2"), 1.0)
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": np.eye(2), "readout_offset": np.zeros(2)}
    names = ("stiffness", "coupling", "cubic")
    asked = GradientRequest(task, (sequence,), theta, names, trained={"cubic": BENT})
    found = execute(rule.gradient(asked), stack(RigBackend(rig), rig.capabilities, rig.wiring)).values
    return np.concatenate([found["stiffness"], found["coupling"], found["cubic"][BENT]])


def test_a_kick_in_the_prepared_state_gives_the_gradient_and_better_where_the_emulator_integrates_better() -> None:
    model, errors = OscillatorNetwork(2, coupling="chain", nominal=STARTED, time_unit=1e-3), []
    for rtol in (None, 1e-5):
        with emulator(rtol) as where:
            rig = opened(f"{where}?bits=0&lanes=ideal", model)
            echo, differences = (gradient(rig, model, rule) for rule in (HEB(), FiniteDifferences(step=3e-3)))
            rig.close()
        errors.append(float(np.linalg.norm(echo - differences) / np.linalg.norm(differences)))
    assert errors[0] < 3e-3 and errors[1] < 4e-4 and errors[1] < errors[0] / 2


def test_the_end_of_a_shot_is_read_and_passes_follow_without_a_gap(endpoint: str) -> None:
    rig = opened(f"{endpoint}?lanes=ideal")
    program = shot(np.array([0.4, -0.2]), np.array([1.0, 0.5]))
    (single,) = program.passes
    parts = tuple(Pass(steps, (), single.acquire) for steps in (15, 25))
    whole, split = fired(rig, program, ShotProgram(0.01, program.prepare, parts))
    for name in ("q1", "v2"):
        joined = np.concatenate([item.traces[name].values for item in split.passes], axis=1)
        assert np.array_equal(joined, whole.last.traces[name].values)
    assert whole.last.end_state is not None
    end = fired(rig, shot(*(part[0] for part in (whole.last.end_state.position, -whole.last.end_state.momentum))))[0]
    assert np.abs(end.last.traces["q1"].values[0] - whole.last.traces["q1"].values[0, ::-1]).max() < 2e-3
    rig.close()


def test_a_start_and_a_motion_beyond_full_scale_are_told_by_name(endpoint: str) -> None:
    rig = opened(f"{endpoint}?position=0.5&lanes=ideal")
    with pytest.raises(LimitError, match=r"q2 would start at -1\.2 of full scale; nothing was sent"):
        fired(rig, shot(np.array([0.1, -0.6]), np.zeros(2)))
    with pytest.raises(DivergedError, match=r"INT0 \(q1\) overloads: it reaches 1\.\d+ of its full scale"):
        fired(rig, shot(np.array([0.4, 0.4]), np.array([4.0, 0.0])))
    rig.close()


def test_shots_that_are_too_long_or_too_fine_are_refused_in_words(endpoint: str) -> None:
    rig = opened(f"{endpoint}?lanes=ideal")
    with pytest.raises(ProgramError, match="too long: the machine runs for 1 s at most"):
        fired(rig, shot(np.zeros(2), np.zeros(2), steps=200_000))
    with pytest.raises(ProgramError, match="1000000 samples a second at most"):
        fired(rig, shot(np.zeros(2), np.zeros(2), step=1e-4))
    rig.close()


def test_the_record_holds_the_circuit_that_is_loaded(endpoint: str) -> None:
    rig = opened(endpoint)
    achieved = rig.configure({"coupling": np.array([11.0])})
    held = rig.settings()["lucidac"]
    set_to = held["circuit"]["/0"]["/C"]["elements"]
    assert set_to[held["lanes"].index("from q2 to v1")] == pytest.approx(-achieved["coupling"][0] / 100, abs=1e-9)
    assert all(type(value) in (int, float) for value in set_to)
    assert held["full_scale"] == {"position": 1.0, "velocity": 10.0}
    rig.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("tcp://127.0.0.1:1?scale=2", "no setting 'scale'"),
        ("tcp://127.0.0.1:1?position=0", "position is a positive number"),
        ("tcp://127.0.0.1:1?bits=1", "bits is"),
        ("tcp://127.0.0.1:1?lanes=maybe", "lanes is measured, or ideal"),
        ("127.0.0.1", "no address"),
        ("serial:///dev/ttyACM0", "tcp://HOST:PORT"),
    ],
)
def test_a_url_that_is_wrong_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        opened(url)


def test_nobody_there_is_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(TransportError, match=r"does not answer: .*is it on"):
            opened(f"tcp://127.0.0.1:{free.getsockname()[1]}")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_an_emulator_that_dies_or_hangs_ends_the_shot(end: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    with emulator_process() as (process, where):
        rig = opened(f"{where}?lanes=ideal")
        monkeypatch.setattr("drivers.lucidac.machine.ANSWER", 0.5)
        monkeypatch.setattr("drivers.lucidac.machine.HELLO", 0.25)
        os.killpg(process.pid, end)
        with pytest.raises(TransportError, match="does not answer"):
            fired(rig, shot(np.array([0.1, 0.1]), np.zeros(2)))
        rig.close()


ANSWERS = {
    "no JSON": b"hello\n",
    "a number": b"17\n",
    "no entities": b'{"type": "get_entities", "msg": {}}\n',
    "an error": b'{"type": "get_entities", "code": 3, "error": "not now"}\n',
    "nested": b'{"type": "get_entities", "msg": ' + b"[" * 5000 + b"\n",
}


@pytest.mark.parametrize("answer", list(ANSWERS.values()), ids=list(ANSWERS))
def test_what_is_no_lucidac_is_told_in_one_sentence(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)
                connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(InstrumentError) as caught:
            opened(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
