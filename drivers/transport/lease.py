"""One owner for one resource, over all processes of a machine."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from drivers.transport.address import canonical_address
from drivers.transport.deadline import Deadline
from labrhel.errors import TransportError
from labrhel.safety.holding import Held, TakenError
from labrhel.safety.places import state_folder


class Lease:
    """The exclusive right to a resource, held until `close` or the end of this process, kill -9 included.

    It holds a file in `folder` (`labrhel.safety.holding`), named after the canonical address.  Raises TransportError,
    naming the holder, if the resource is not free within `wait` seconds.
    """

    def __init__(self, address: str, *, folder: Path | None = None, wait: float = 0.0) -> None:
        self.resource = canonical_address(address)
        folder = (folder or state_folder()) / "leases"
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9.]+", "_", self.resource).strip("_")[:80]
        file = folder / f"{name}-{hashlib.sha256(self.resource.encode()).hexdigest()[:8]}.lease"
        deadline = Deadline(wait)
        while True:
            try:
                self._held = Held(file)
                return
            except TakenError as taken:
                if not deadline.remaining:
                    raise TransportError(
                        f"{self.resource} is in use by {taken.holder}: stop that program, or wait until it ends"
                    ) from None
            time.sleep(min(0.02, deadline.remaining))

    def close(self) -> None:
        """Give the resource back; harmless twice."""
        self._held.close()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
