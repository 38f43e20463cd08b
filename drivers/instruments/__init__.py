"""Instruments: QCoDeS drivers that speak through a labrhel link and play a role of `drivers.roles`.

One module for each dialect, named as the kind; QCoDeS is imported when the first instrument is opened.
"""

from drivers.instruments.opening import KINDS, open_instrument

__all__ = ["KINDS", "open_instrument"]
