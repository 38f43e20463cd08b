"""`labrhel devices` as a user meets it."""

import os
from pathlib import Path

import pytest

from drivers.transport import Lease
from labrhel.testing.command_line import Shell
from simbackend.virtual_bench import Fault, station_text, virtual_bench


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))


def test_a_station_is_listed_with_what_its_instruments_say(shell: Shell) -> None:
    with virtual_bench("red_pitaya") as bench:
        shell.write(station_text(bench), "station.yaml")
        status, out, err = shell("devices", "station.yaml")
        assert (status, err) == (0, "")
        line = next(line for line in out.splitlines() if "pitaya" in line)
        assert bench.addresses["pitaya"]["socket"] in line and "REDPITAYA,INSTR2023" in line and "red_pitaya" in line
        assert shell("devices", "bench:station.yaml")[0] == 0
        status, out, _ = shell("devices", "--ask", bench.addresses["pitaya"]["socket"])
        assert status == 0 and "REDPITAYA" in out


def test_one_in_use_is_no_failure(shell: Shell) -> None:
    with virtual_bench("red_pitaya") as bench:
        address = bench.addresses["pitaya"]["socket"]
        with Lease(address):
            status, out, _ = shell("devices", "--ask", address)
        assert status == 0 and f"in use by PID {os.getpid()}" in out and "REDPITAYA" not in out


def test_one_that_does_not_answer_is_a_failed_check(shell: Shell) -> None:
    with virtual_bench("red_pitaya") as bench:
        shell.write(station_text(bench), "station.yaml")
        for _ in range(10):
            bench.hosts["pitaya"].order(Fault.of("late", 1.0))
        status, out, _ = shell("devices", "station.yaml", "--timeout", "0.2")
    assert status == 1 and "does not answer (" in out
    status, out, _ = shell("devices", "station.yaml", "--timeout", "0.2")
    assert status == 1 and "is it on, and is the address right?" in out


def test_bad_input_is_one_sentence(shell: Shell) -> None:
    for words in (["nowhere.yaml"], ["--ask", "scope"], ["--timeout", "0"]):
        status, out, err = shell("devices", *words)
        assert status == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1


def test_what_is_listed_tells_what_asking_would_do(shell: Shell) -> None:
    status, out, _ = shell("devices", "--help")
    assert status == 0
    assert "nothing is written to a serial port" in " ".join(out.replace("│", " ").split())
