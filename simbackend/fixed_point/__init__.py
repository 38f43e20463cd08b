"""The integer leapfrog of an FPGA board, bit for bit, exactly reversible by a momentum flip."""

from simbackend.fixed_point.network import FixedPointNetwork, FixedPointRun, FixedPointState
from simbackend.fixed_point.rig import FixedPointRig

__all__ = ["FixedPointNetwork", "FixedPointRig", "FixedPointRun", "FixedPointState"]
