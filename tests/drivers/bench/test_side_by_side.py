"""Boxes of a bench that are talked to at the same time."""

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drivers.bench.side_by_side import SideBySide
from drivers.transport.permit import StoppedError, as_long_as, require_permit
from labrhel.errors import InstrumentError
from labrhel.shots.compile import compile
from labrhel.testing.leaks import no_leaks
from labrhel.testing.waiting import PATIENCE, wait_for
from simbackend.testing.benches import drive, opened, volts


def test_all_jobs_are_done_at_once_and_told_in_their_order() -> None:
    everybody = threading.Barrier(3)

    def meet(number: int) -> int:
        everybody.wait(PATIENCE)  # one after the other they would wait forever
        return number

    found = SideBySide().do({"c": lambda: meet(1), "a": lambda: meet(2), "b": lambda: meet(3)})
    assert list(found.items()) == [("c", 1), ("a", 2), ("b", 3)]


def test_one_job_alone_is_done_by_whoever_asks() -> None:
    assert SideBySide().do({"a": threading.current_thread}) == {"a": threading.current_thread()}
    assert SideBySide().do({}) == {}


def test_the_first_failure_waits_for_nobody() -> None:
    goes_on = threading.Event()

    def fail() -> None:
        raise InstrumentError("refused")

    try:
        with pytest.raises(InstrumentError, match="refused"):
            SideBySide().do({"slow": lambda: goes_on.wait(PATIENCE), "fails": fail})
        assert not goes_on.is_set()
    finally:
        goes_on.set()


def test_a_box_keeps_its_thread_until_the_end() -> None:
    with no_leaks():
        boxes = SideBySide()
        before = boxes.do({"a": threading.get_ident, "b": threading.get_ident})
        assert len({*before.values(), threading.get_ident()}) == 3
        assert boxes.do({"b": threading.get_ident, "a": threading.get_ident}) == before
        boxes.close()
    with no_leaks():
        SideBySide().do({"a": int, "b": int})  # nobody has it any more


def test_where_no_thread_can_be_had_one_is_done_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    assert set(SideBySide().do({"a": threading.get_ident, "b": threading.get_ident}).values()) == {
        threading.get_ident()
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are for Unix only")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_has_threads_of_its_own() -> None:
    boxes = SideBySide()
    boxes.do({"a": int, "b": int})
    child = os.fork()
    if child == 0:
        os._exit(7 if boxes.do({"a": os.getpid, "b": os.getpid}) == dict.fromkeys("ab", os.getpid()) else 1)
    ended: list[int] = []

    def has_ended() -> bool:
        pid, status = os.waitpid(child, os.WNOHANG)
        ended.append(status)
        return pid == child

    wait_for(has_ended, "the fork")
    assert os.waitstatus_to_exitcode(ended[-1]) == 7
    boxes.close()


def test_jobs_may_send_what_the_thread_may_that_asks_for_them() -> None:
    def stopped() -> None:
        raise StoppedError("made safe")

    SideBySide().do({"a": require_permit, "b": require_permit})
    with as_long_as(stopped), pytest.raises(StoppedError, match="made safe"):
        SideBySide().do({"a": require_permit, "b": require_permit})


def met(everybody: threading.Barrier, does: Callable[..., Any], *args: Any) -> Any:
    everybody.wait(PATIENCE)
    return does(*args)


def test_generators_are_loaded_and_digitizers_read_at_the_same_time(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        rig: Any = experiment.rig
        scopes = [box for name, box in rig._instruments.items() if name.startswith("scope")]
        for boxes, does in ((rig._generators.values(), "load"), (scopes, "read")):
            everybody = threading.Barrier(len(boxes))
            assert len(boxes) > 1
            for box in boxes:
                setattr(box, does, partial(met, everybody, getattr(box, does)))
        shot = compile(drive(experiment, 0.5, steps=40), rig.capabilities)
        assert set(rig.run([shot])[0].last.traces) == {"q1", "q4"}


def test_a_box_that_fails_while_another_is_stuck_has_the_bench_made_safe_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as (bench, experiment):
        rig: Any = experiment.rig
        shot = compile(drive(experiment, 0.5, steps=40), rig.capabilities)
        ended, said = threading.Event(), list[str]()

        def stuck(seconds: float) -> None:
            wait_for(lambda: rig._made_safe > 0, "the bench to be made safe")
            try:
                rig._instruments["scope1"].link.query("*IDN?")
            except StoppedError as error:
                said.append(str(error))
            ended.set()

        def fails(seconds: float) -> None:
            raise InstrumentError("scope2 says no")

        rig._instruments["scope1"].wait, rig._instruments["scope2"].wait = stuck, fails
        with pytest.raises(InstrumentError, match="scope2 says no"):
            rig.run([shot])
        assert volts(bench) == [0.0] * 8
        assert ended.wait(PATIENCE)
        assert "was made safe while it was in use" in said[0]  # and sends nothing any more
