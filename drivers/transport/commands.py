"""Which queries may be asked again after a failure: those that neither act nor use up what they report."""

from __future__ import annotations

import re
from functools import lru_cache

_ACTS = re.compile(r"\*(TST|CAL|OPC|ESR|TRG)\b|(SYST\w*:)?ERR|:EVEN|^:?(READ|MEAS|INIT|FETC\w*:NEXT)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def is_repeatable(text: str) -> bool:
    """True if every part of a message is a query that only reads.

    Not repeatable: sets, triggers, READ? and MEASure? (they trigger), error queues and event registers (reading empties
    them), *TST? and *CAL? (they act), *OPC? (after a restart it would say "done" of something that was lost).
    """
    headers = [part.split(maxsplit=1)[0] for part in text.split(";") if part.strip()]
    return bool(headers) and all(header.endswith("?") and not _ACTS.search(header) for header in headers)
