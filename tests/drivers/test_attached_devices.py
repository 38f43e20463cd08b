"""What is reachable and what it says it is, against virtual instruments on real wires."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import serial.tools.list_ports

from drivers.devices import driver_of, find
from drivers.instruments import open_instrument
from labrhel import plugins
from labrhel.cli.finding import instruments_of
from labrhel.config.station import StationDocument, load_station
from labrhel.errors import ConfigurationError
from labrhel.rig.devices import Asked, Device, State
from simbackend.virtual_bench import Bench, Fault, station_text, virtual_bench

BENCH = """
model: coupled_oscillators
ring_down: 10ms
instruments:
  awg: {kind: keysight_33600, wires: [socket, hislip]}
  scope: {kind: rigol_ds1000z}
  infinii: {kind: infiniivision}
  psu: {kind: e36300}
  bias: {kind: qdac2, wires: [socket, serial]}
  pitaya: {kind: red_pitaya}
leads:
  - {wire: awg.ch1, to: u1}
  - {wire: awg.sync, to: scope.ch4}
  - {wire: q1, to: scope.ch1}
"""
TIMEOUT = 0.5


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "bench.yaml").write_text(BENCH, encoding="utf-8")
    with virtual_bench(tmp_path / "bench.yaml") as bench:
        yield bench


def station_of(bench: Bench, folder: Path, *changes: tuple[str, str]) -> StationDocument:
    text = station_text(bench)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "station.yaml").write_text(text, encoding="utf-8")
    return load_station(folder / "station.yaml")


def named(station: StationDocument | None, *ask: str) -> dict[str, Device]:
    """What was asked, by name or address."""
    asked = [*([] if station is None else instruments_of(station)), *map(Asked, ask)]
    return {item.name or item.address: item for item in find(asked, TIMEOUT) if item.state is not State.LISTED}


def test_every_instrument_of_a_station_says_what_it_is_and_which_driver_fits(bench: Bench, tmp_path: Path) -> None:
    before = {name: dict(host.device.values) for name, host in bench.hosts.items()}
    found, drivers = named(station_of(bench, tmp_path)), plugins.instrument_drivers()
    for name, host in bench.hosts.items():
        kind = bench.spec.instruments[name].kind
        assert found[name].identity == ",".join(host.device.identity)
        if kind in drivers:
            assert (found[name].driver, found[name].state, found[name].note) == (kind, State.ANSWERS, "")
    assert {name: dict(host.device.values) for name, host in bench.hosts.items()} == before


def test_every_driver_is_known_by_what_its_instrument_says() -> None:
    drivers = plugins.instrument_drivers()
    for kind in plugins.virtual_instruments():
        virtual = plugins.virtual_instrument(kind)
        for model in virtual.models:
            assert driver_of(",".join(virtual.says(model, "1")), drivers) == kind
    assert driver_of("ACME,Teapot,418,1.0", drivers) == ""


def test_addresses_that_the_user_names_are_asked_over_any_wire(bench: Bench) -> None:
    ask = [address for wires in bench.addresses.values() for address in wires.values()]
    found = named(None, *ask)
    assert list(found) == ask
    assert {item.state for item in found.values()} == {State.ANSWERS}
    assert found[bench.addresses["pitaya"]["socket"]].driver == "red_pitaya"  # its messages end otherwise
    assert found[bench.addresses["bias"]["serial"]].identity.startswith("QDevil")


def test_an_instrument_in_use_is_left_alone_and_its_user_is_named(bench: Bench, tmp_path: Path) -> None:
    address = bench.addresses["scope"]["socket"]
    code = f"from drivers.transport import Lease; lease = Lease({address!r}); print('held', flush=True); input()"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        found = named(station_of(bench, tmp_path))
        holder.communicate("\n")
    assert found["scope"].state is State.IN_USE and found["scope"].identity == ""
    assert f"in use by PID {holder.pid} (" in found["scope"].note
    assert found["awg"].state is State.ANSWERS
    assert named(None, address)[address].state is State.ANSWERS


def test_an_instrument_that_this_program_uses_is_left_alone(bench: Bench) -> None:
    address = bench.addresses["awg"]["socket"]
    with closing(open_instrument("keysight_33600", "awg", address)) as awg:
        assert named(None, address)[address].state is State.IN_USE
        assert awg.ch1.output() is False
    assert named(None, address)[address].state is State.ANSWERS


def test_one_that_is_switched_off_is_one_sentence_and_the_others_answer(bench: Bench, tmp_path: Path) -> None:
    station = station_of(bench, tmp_path)
    bench.hosts["scope"].stop()
    found = named(station)
    assert found["scope"].state is State.FAULTY
    assert found["scope"].note.startswith("does not answer (") and found["scope"].note.endswith("the address right?")
    assert "\n" not in found["scope"].note
    assert found["awg"].state is State.ANSWERS


def test_one_that_answers_too_late_does_not_answer(bench: Bench, tmp_path: Path) -> None:
    station = station_of(bench, tmp_path)
    for _ in range(10):
        bench.hosts["awg"].order(Fault.of("late", 3 * TIMEOUT))
    assert named(station)["awg"].state is State.FAULTY


def test_an_answer_that_is_damaged_once_is_asked_again(bench: Bench, tmp_path: Path) -> None:
    station = station_of(bench, tmp_path)
    bench.hosts["awg"].order(Fault.of("garbage", 3))
    assert named(station)["awg"].identity.startswith("Agilent")


@contextmanager
def babbling(answer: bytes) -> Iterator[str]:
    """A server that says the same whatever it is asked."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while connection.recv(1000):
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()


@pytest.mark.parametrize("answer", [b"\xfe\xff\x00\x17\n", b"\x80" * 70 + b"\r\n"])
def test_garbage_is_no_identity(answer: bytes) -> None:
    with babbling(answer) as address:
        found = named(None, address)[address]
    assert found.state is State.FAULTY and found.identity == ""
    assert "no text" in found.note or "does not answer" in found.note
    assert found.note.isprintable()


def test_another_instrument_than_the_station_says_is_faulty(bench: Bench, tmp_path: Path) -> None:
    change = ("drivers.instruments.rigol_ds1000z.RigolDS1000Z", "drivers.instruments.qdac2.QDac2")
    found = named(station_of(bench, tmp_path, change))
    assert found["scope"].state is State.FAULTY and "no qdac2" in found["scope"].note
    assert found["scope"].driver == "rigol_ds1000z" and found["scope"].identity.startswith("RIGOL")


def test_an_instrument_without_a_driver_is_said_to_have_none() -> None:
    with babbling(b"ACME,Teapot,418,1.0\n") as address:
        found = named(None, address)[address]
    assert (found.state, found.driver, found.note) == (State.ANSWERS, "", "no driver fits")


def test_what_nobody_names_is_listed_and_not_asked() -> None:
    ports = {f"ASRL{port.device}::INSTR" for port in serial.tools.list_ports.comports()}
    found = list(find([], TIMEOUT))
    assert {item.state for item in found} <= {State.LISTED} and all("not asked" in item.note for item in found)
    assert ports <= {item.address for item in found}


def test_wrong_addresses_are_errors_of_the_user_or_of_the_file(bench: Bench, tmp_path: Path) -> None:
    for wrong in ("scope", "http://there:80", "tcp://there"):
        with pytest.raises(ConfigurationError, match="is no"):
            list(find([Asked(wrong)], TIMEOUT))
    station = station_of(bench, tmp_path, (bench.addresses["scope"]["socket"], "scope"))
    with pytest.raises(ConfigurationError, match=r"station\.yaml"):
        list(find(instruments_of(station), TIMEOUT))


def test_a_board_says_its_gateware_and_a_socket_that_is_none_is_faulty(bench: Bench) -> None:
    _, host, port, _ = bench.addresses["awg"]["socket"].split("::")
    where = f"tcp://{host}:{port}"
    found = named(None, where)[where]
    assert found.state is State.FAULTY and found.identity == ""
    pytest.importorskip("amaranth", reason="Amaranth is not installed: pip install 'labrhel[gateware]'")
    from simbackend.testing.gateware import a_board

    with a_board() as board:
        found = named(None, board.url)[board.url]
    assert found.state is State.ANSWERS and found.driver == "fpga"
    assert found.identity.startswith("labrhel board, 6 units, gateware ")
