"""Instruments: QCoDeS drivers that speak through a labrhel link and play a role of `drivers.roles`.

One module for each dialect, registered by its name in the entry-point group `labrhel.instruments`; `source`,
`digitizer` and `generator` hold what they share.  QCoDeS is imported when the first instrument is opened.
"""

from drivers.instruments.opening import import_driver, open_instrument, open_section

__all__ = ["import_driver", "open_instrument", "open_section"]
