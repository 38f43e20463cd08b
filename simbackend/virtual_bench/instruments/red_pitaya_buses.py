"""The serial line, SPI and I2C of a Red Pitaya, with nothing wired to them.

What is sent there is taken, as by the real board.  What is read is what idle lines say: zeros on SPI, no
acknowledgement on I2C, and nothing on the serial line, which ends after its time-out; without one the real server
waits for good, which this one does not.  An operation that fails is error -200, and a question has no answer then.

Source: scpi-server (spi.cpp, i2c.cpp, uart.cpp, scpi-parser-ext.cpp) and rp-api (api-hw) of RedPitaya/RedPitaya.
"""

from __future__ import annotations

from dataclasses import dataclass

from simbackend.virtual_bench.scpi.messages import block_of
from simbackend.virtual_bench.scpi.scpi import Answer, Scpi, ScpiError, command
from simbackend.virtual_bench.scpi.settings import Flag, Whole, Word, whole

_FAILED = -200  # what the parser reports where a command has failed and says no more
_ADDRESSES = (0x03, 0x77)  # of devices on I2C
_LONGEST = 255  # bytes of a message on the serial line

BUSES = (
    Word("SPI:SETtings:MODE", "spi_mode", "LISL", (0,), "LISL LIST HISL HIST"),
    Word("SPI:SETtings:CSMODE", "spi_select", "NORMAL", (0,), "NORMAL HIGH"),
    Whole("SPI:SETtings:SPEED", "spi_speed", 50e6, (0,), 1.0, 100e6),
    Whole("SPI:SETtings:WORD", "spi_word", 8.0, (0,), 7.0, 255.0),
    Flag("I2C:FMODE", "i2c_force", False),
)
"""Settings of the buses."""


@dataclass(slots=True)
class _Message:
    """One of an SPI transfer: bytes to send, and to receive, None for none."""

    sent: bytes | None = None
    received: bytes | None = None
    releases: bool = False
    """Whether the select line changes behind it."""


class BusCommands(Scpi):
    """The part of the server that speaks to other chips."""

    def reset_buses(self) -> None:
        """Nothing is open."""
        self._messages: list[_Message] | None = None
        self._spi_open = self._uart_open = False
        self._device = 0

    # ----- SPI

    @command("SPI:INIT", "SPI:INIT:DEV")
    def _open_spi(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._spi_open, self._messages = True, None
        return None

    @command("SPI:RELEASE")
    def _close_spi(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._spi_open, self._messages = False, None
        return None

    @command("SPI:SETtings:DEFault")
    def _spi_defaults(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._require(self._spi_open)
        self.values.update({(item.key, 0): item.default for item in BUSES if item.key.startswith("spi")})
        return None

    @command("SPI:SETtings:SET", "SPI:SETtings:GET")
    def _spi_settings(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._require(self._spi_open)
        return None

    @command("SPI:MSG:CREATE")
    def _create(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._messages = [_Message() for _ in range(whole(words, 0, 1, 1024))]
        return None

    @command("SPI:MSG:DEL")
    def _delete(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._require(self._messages is not None)
        self._messages = None
        return None

    @command("SPI:MSG:SIZE?")
    def _count(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._require(self._messages is not None)
        return str(len(self._messages or ()))

    @command("SPI:MSG#:TX#")
    def _send(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._prepare(suffixes, words, _Message(b""))

    @command("SPI:MSG#:TX#:CS")
    def _send_and_release(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._prepare(suffixes, words, _Message(b"", None, True))

    @command("SPI:MSG#:TX#:RX")
    def _exchange(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._prepare(suffixes, words, _Message(b"", b""))

    @command("SPI:MSG#:TX#:RX:CS")
    def _exchange_and_release(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._prepare(suffixes, words, _Message(b"", b"", True))

    @command("SPI:MSG#:RX#")
    def _receive(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._prepare(suffixes, words, _Message(None, b""))

    @command("SPI:MSG#:RX#:CS")
    def _receive_and_release(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._prepare(suffixes, words, _Message(None, b"", True))

    @command("SPI:MSG#:RX?")
    def _received(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._bytes(self._message(suffixes[0]).received)

    @command("SPI:MSG#:TX?")
    def _to_send(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._bytes(self._message(suffixes[0]).sent)

    @command("SPI:MSG#:CS?")
    def _releases(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(int(self._message(suffixes[0]).releases))

    @command("SPI:PASS")
    def _transfer(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._require(self._spi_open and self._messages is not None)
        for message in self._messages or ():
            if message.received is not None:
                message.received = bytes(len(message.received))
        return None

    def _prepare(self, suffixes: tuple[int, ...], words: list[bytes], form: _Message) -> Answer:
        """Put a message of the form and the length of the header into its place."""
        place, count = suffixes
        sent = None if form.sent is None else _content(words, count)
        self._message(place)
        self._require(count > 0)
        assert self._messages is not None
        self._messages[place] = _Message(sent, None if form.received is None else bytes(count), form.releases)
        return None

    def _message(self, place: int) -> _Message:
        self._require(self._messages is not None and place < len(self._messages))
        assert self._messages is not None
        return self._messages[place]

    # ----- I2C

    @command("I2C:DEV#")
    def _choose(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        if not words:
            raise ScpiError(-109)
        self._require(_ADDRESSES[0] <= suffixes[0] <= _ADDRESSES[1])
        self._device = suffixes[0]
        return None

    @command("I2C:DEV?")
    def _chosen(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._require(self._device > 0)
        return str(self._device)

    @command(
        "I2C:Smbus:Read#?", "I2C:Smbus:Read#:Word?", "I2C:Smbus:Read#:Buffer#?", "I2C:IOctl:Read:Buffer#?"
    )  # fmt: skip
    def _read_chip(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        raise ScpiError(_FAILED)  # nobody acknowledges

    @command("I2C:Smbus:Write#", "I2C:Smbus:Write#:Word")
    def _write_chip(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        whole(words, 0, 0, 2**32 - 1)
        raise ScpiError(_FAILED)

    @command("I2C:Smbus:Write#:Buffer#", "I2C:IOctl:Write:Buffer#")
    def _write_many(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        _content(words, suffixes[-1])
        raise ScpiError(_FAILED)

    # ----- serial line

    @command("UART:INIT")
    def _open_uart(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._uart_open = True
        return None

    @command("UART:SETUP")
    def _set_up_uart(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._require(self._uart_open)
        return None

    @command("UART:RELEASE")
    def _close_uart(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._uart_open = False
        return None

    @command("UART:WRITE#")
    def _write_uart(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        _content(words, suffixes[0])
        self._require(self._uart_open and 0 < suffixes[0] <= _LONGEST)
        return None

    @command("UART:READ#?")
    def _read_uart(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        raise ScpiError(_FAILED)

    def _require(self, good: object) -> None:
        if not good:
            raise ScpiError(_FAILED)

    def _bytes(self, content: bytes | None) -> Answer:
        """Bytes as the format of data says: a block, or numbers with a sign, as the server prints them."""
        if content is None:
            raise ScpiError(_FAILED)
        if self.values["format", 0] == "BIN":
            return block_of(content)
        return "{" + ",".join(str(byte - 256 if byte > 127 else byte) for byte in content) + "}"


def _content(words: list[bytes], count: int) -> bytes:
    """As many bytes as the header says; raises ScpiError for another number of them."""
    if not words:
        raise ScpiError(-109)
    found = bytes(whole(words, place, 0, 255) for place in range(min(len(words), count)))
    if len(found) != count:
        raise ScpiError(_FAILED)
    return found
