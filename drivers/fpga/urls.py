"""`fpga:` URLs: the wire to a board, and what is expected behind it.

fpga:tcp://HOST:PORT                          a board behind a socket, or a simulated one
fpga:serial:///dev/ttyUSB0?baud=921600        a board behind a serial line
...?gateware=1a2b3c4d                         refuse any other bitstream, even one that this program could use
...?step=0.2                                  step between kicks [model time]; left out, that of the configuration
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import numpy as np

from drivers.fpga.board import FpgaBoard
from drivers.fpga.rig import FpgaRig
from drivers.transport import open_framed_link
from labrhel.errors import ConfigurationError
from labrhel.model.interface import Model
from labrhel.wire.network_codes import Network

_DEFAULT_BAUD = 115200


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < np.inf:
        raise ValueError
    return value


_SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "gateware": (lambda text: int(text, 16), "the id of a bitstream, eight hexadecimal digits"),
    "step": (_positive, "a positive number, the time between kicks in model time"),
    "baud": (int, "the baud rate of a serial line, such as 921600"),
}


def open_rig(url: str, model: Model, folder: Path, step: float | None = None) -> FpgaRig:
    """An FPGA board: fpga:tcp://HOST:PORT or fpga:serial:///dev/ttyUSB0?baud=921600; settings: ?gateware=1a2b3c4d.

    `url` is what follows `fpga:`; `step` [model time] that of the configuration.  Nothing that runs on the board is
    touched before its gateware has been recognised.  Raises ConfigurationError for a setting that it does not know,
    another gateware than this program's, and a model that the board cannot hold; TransportError if nothing answers.
    """
    del folder
    where, _, query = url.partition("?")
    settings = _settings(query)
    serial, baud = where.startswith("serial:"), settings.get("baud", _DEFAULT_BAUD)
    step = settings.get("step", step)
    if step is None:
        raise ConfigurationError("the coefficients of a board are for one step: name it, fpga:...?step=0.2")
    link = open_framed_link(f"{where}?baud={baud}" if serial else where)
    try:
        board = FpgaBoard(link, expected=settings.get("gateware"), rate=baud / 10 if serial else np.inf)
        return FpgaRig(board, cast(Network, model), step, f"fpga:{where}")
    except BaseException:
        link.close()
        raise


def _settings(query: str) -> dict[str, Any]:
    found = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in _SETTINGS:
            raise ConfigurationError(f"the rig fpga: has no setting {key!r}; known are: {', '.join(_SETTINGS)}")
        read, meaning = _SETTINGS[key]
        try:
            found[key] = read(text)
        except ValueError:
            raise ConfigurationError(f"{key} is {meaning}; not {text!r}") from None
    return found
