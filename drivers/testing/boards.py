"""A board behind a link, for tests of what happens on the way."""

from __future__ import annotations

from typing import cast

from drivers.fpga import FpgaBoard, FpgaRig
from drivers.transport import open_framed_link
from labrhel.testing.boards import STEP, model
from labrhel.wire.network_codes import Network


def rig_at(url: str, timeout: float = 30.0, patience: float = 60.0) -> FpgaRig:
    """The rig of `labrhel.testing.boards` at a URL; the board has `timeout` [s] for one answer.

    The usual times are for a simulated board on a loaded machine; a test of lost frames wants shorter ones.
    """
    link = open_framed_link(url, timeout=timeout, patience=patience)
    return FpgaRig(FpgaBoard(link), cast(Network, model()), STEP)
