"""LUCIDAC, an analog computer on the network, as a rig: oscillators on pairs of its integrators.

`circuit` is what a model is patched as; `wire` and `machine` run one circuit; `lanes` measures what coefficients really
are; `declared` and `rig` make a rig of them, `urls` opens it.  The vendor's `lucipy` speaks to the machine, or to its
emulator, and is imported when a rig is opened.
"""

from drivers.lucidac.rig import LucidacRig
from drivers.lucidac.urls import open_rig

__all__ = ["LucidacRig", "open_rig"]
