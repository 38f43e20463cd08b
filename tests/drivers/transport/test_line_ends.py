"""How devices end their answers and what stands behind their blocks is learnt, or said in the station file."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers.instruments import open_instrument
from drivers.testing.wires import IDENTITY, Device, HislipServer, TcpServer, Wire, block
from drivers.transport import Link, LinkError, open_link
from labrhel.errors import ConfigurationError


class Ending(Device):
    """Ends its answers with `line`, and its blocks with `behind`; a block has no length where it says `#0`."""

    def __init__(self, line: bytes = b"\n", behind: bytes = b"\n", *, indefinite: bool = False) -> None:
        super().__init__()
        self.line, self.behind, self.indefinite = line, behind, indefinite

    def obey(self, message: bytes, wire: Wire) -> None:
        words = message.decode("latin-1").split()
        self.received.append(message.decode("latin-1"))
        if words[0] == "*IDN?":
            wire.send(IDENTITY.encode() + self.line)
        elif words[0] == "ECHO?":
            wire.send(words[1].encode() + self.line)
        elif words[0] == "BLOCK?":
            data = block(int(words[1]), int(words[2]))
            head = b"#0" if self.indefinite else b"#%d%d" % (len(words[2]), len(data))
            wire.send(head + data + self.behind)


@contextmanager
def linked(device: Device, server: type = TcpServer, **options: object) -> Iterator[Link]:
    made = server(device)
    try:
        with open_link(made.address, timeout=0.3, patience=2.0, **options) as link:  # type: ignore[arg-type]
            yield link
    finally:
        made.close()


@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
@pytest.mark.parametrize("said", ["\n", "\r\n"])
def test_the_end_of_answers_is_learnt_whatever_ends_messages(line: bytes, said: str) -> None:
    with linked(Ending(line, line), terminator=said) as link:
        assert link.identity == IDENTITY
        for number in range(3):
            assert link.query(f"ECHO? {number}") == str(number)
        assert link.query_block("BLOCK? 3 50") == block(3, 50)
        assert link.query("ECHO? 9") == "9" and link.in_step


@pytest.mark.parametrize("behind", [b"", b"\n\n", b"\r\n", b"\n"])
@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
def test_what_stands_behind_a_block_is_learnt_from_two_of_them(behind: bytes, line: bytes) -> None:
    device = Ending(line, behind)
    numbers = [number for number in range(1, 60) if block(number, 40)[-1] not in b"\r\n"][:6]
    with linked(device) as link:
        for number in numbers:
            assert link.query_block(f"BLOCK? {number} 40", length=40) == block(number, 40)
            assert link.query(f"ECHO? {number}") == str(number)
        asked = [text for text in device.received if text.startswith("BLOCK")]
        assert len(asked) <= len(numbers) + 1  # once more, for the first


def test_a_block_that_lost_a_byte_is_not_learnt_from() -> None:
    class Losing(Ending):
        def obey(self, message: bytes, wire: Wire) -> None:
            if message.startswith(b"BLOCK?"):
                self.received.append("BLOCK")
                wire.send(b"#220" + block(5, 19) + b"\n")  # and the end of the answer is taken for its last byte
            else:
                super().obey(message, wire)

    device = Losing()
    with linked(device) as link:
        with pytest.raises(
            LinkError, match=r"b'' stands behind a block, where b'\\n' was due; it only reads, and failed"
        ):
            link.query_block("BLOCK? 5 20")
        assert link.query("ECHO? 1") == "1"


def test_a_block_without_a_length_ends_with_its_answer_or_at_the_length_that_is_known() -> None:
    with linked(Ending(indefinite=True), HislipServer) as link:
        assert link.query_block("BLOCK? 3 500") == block(3, 500)
        assert link.query("ECHO? 1") == "1"
    with linked(Ending(indefinite=True)) as link:
        assert link.query_block("BLOCK? 3 500", length=500) == block(3, 500)
        with pytest.raises(LinkError, match=r"does not say its length \(#0\), and this wire does not mark its end"):
            link.query_block("BLOCK? 3 500")
        assert link.query("ECHO? 1") == "1"


def test_a_terminator_is_said_in_the_station_file() -> None:
    class Keysight(Ending):
        def obey(self, message: bytes, wire: Wire) -> None:
            if message.strip() == b"*IDN?":
                wire.send(b"Agilent Technologies,33522B,MY1,1\r\n")

    server = TcpServer(Keysight())
    try:
        for wrong in ("\\r\\n", "", 13):
            with pytest.raises(ConfigurationError, match=r"a terminator is .* in double quotes in a station file"):
                open_instrument("keysight_33600", "awg", server.address, terminator=wrong)
        box = open_instrument("keysight_33600", "awg", server.address, terminator="\r\n")
        assert box.identity == "Agilent Technologies,33522B,MY1,1"
        box.release()
    finally:
        server.close()
