"""FPGA boards that carry out the integer leapfrog: the board behind its link, and the rig made of it."""

from drivers.fpga.board import FpgaBoard
from drivers.fpga.rig import FpgaRig
from drivers.fpga.urls import open_rig

__all__ = ["FpgaBoard", "FpgaRig", "open_rig"]
