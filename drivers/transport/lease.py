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
from labrhel.safety.places import folders, is_ours


class Lease:
    """The exclusive right to a resource, held until `close` or the end of this process, kill -9 included.

    It holds a file in `folder` (`labrhel.safety.holding`), named after the canonical address.  Raises TransportError,
    naming the holder, if the resource is not free within `wait` seconds.  What the process `dying` holds is then taken
    over, and where no folder takes a lease, whoever names a dying process does without one.
    """

    def __init__(
        self, address: str, *, folder: Path | None = None, wait: float = 0.0, dying: int | None = None
    ) -> None:
        self.resource = canonical_address(address)
        self._held: Held | None = None
        name = re.sub(r"[^A-Za-z0-9.]+", "_", self.resource).strip("_")[:80]
        name = f"{name}-{hashlib.sha256(self.resource.encode()).hexdigest()[:8]}.lease"
        deadline = Deadline(wait)
        while True:
            try:
                self._held = _hold(name, folder)
                return
            except OSError:
                if dying is None:
                    raise
                return
            except TakenError as taken:
                if not deadline.remaining:
                    if taken.pid and taken.pid == dying:
                        return
                    raise TransportError(
                        f"{self.resource} is in use by {taken.holder}: stop that program, or wait until it ends"
                    ) from None
            time.sleep(min(0.02, deadline.remaining))

    def close(self) -> None:
        """Give the resource back; harmless twice."""
        if self._held is not None:
            self._held.close()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hold(name: str, folder: Path | None) -> Held:
    """In the first folder that can be written."""
    first: OSError | None = None
    for place in folders(folder):
        try:
            (place / "leases").mkdir(parents=True, exist_ok=True)
            if is_ours(place):
                return Held(place / "leases" / name)
        except OSError as error:
            first = first or error
    raise first or PermissionError(1, "belongs to another user", str(folders(folder)[1]))
