import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.transport import Lease, canonical_address
from labrhel.errors import TransportError

ADDRESS = "TCPIP::127.0.0.1::5025::SOCKET"
HOLD = f"""
import os, sys, time
from drivers.transport import Lease
lease = Lease({ADDRESS!r})
if "fork" in sys.argv and not os.fork():
    os.write(1, b"%d\\n" % os.getpid())  # in one piece
    time.sleep(20)
    os._exit(0)
os.write(1, b"held\\n")
time.sleep(20)
"""


def holder(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD, *words], stdout=subprocess.PIPE, text=True)


def test_another_process_is_named_and_its_death_by_kill_9_frees_the_resource() -> None:
    with holder() as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(
            TransportError, match=rf"TCPIP0::127.* in use by process {process.pid} \(.*python.*\) since 20"
        ):
            Lease(ADDRESS)
        process.send_signal(signal.SIGKILL)
        process.wait()
    Lease(ADDRESS).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_its_dead_parent_forked_does_not_keep_the_lease() -> None:
    with holder("fork") as process:
        assert process.stdout
        lines = {process.stdout.readline().strip() for _ in range(2)}
        (child,) = lines - {"held"}
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            Lease(ADDRESS, wait=2.0).close()
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_lease_waits_for_its_turn() -> None:
    first = Lease(ADDRESS)
    begin = time.monotonic()
    with pytest.raises(TransportError, match="this very program"):
        Lease(ADDRESS, wait=0.1)
    assert time.monotonic() - begin >= 0.1
    first.close()
    Lease(ADDRESS).close()


def test_other_resources_are_free() -> None:
    other = "TCPIP::127.0.0.1::5026::SOCKET"
    with Lease(ADDRESS), Lease(other):
        for taken in (ADDRESS, other):
            with pytest.raises(TransportError, match="this very program"):
                Lease(taken)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TCPIP::127.0.0.1::5025::SOCKET", "TCPIP0::localhost::5025::SOCKET"),
        ("tcp://127.0.0.1:9000", "tcp://localhost:9000"),
        ("serial:///dev/null?baud=9600", "ASRL/dev/null::INSTR"),
    ],
)
def test_one_resource_has_one_name(one: str, other: str) -> None:
    assert canonical_address(one) == canonical_address(other)


def test_a_link_to_a_device_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to("/dev/null")
    assert canonical_address(f"serial://{tmp_path}/by-id") == "serial:///dev/null"
