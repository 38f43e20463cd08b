"""How whatever drives a rig ends: the rig is made safe, and of what went wrong the first is said."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from labrhel.errors import NotSafeError


class Ending:
    """A `with` block that ends, however it does, in `make_safe`: the `make_safe` or the `close` of a rig.

    What went wrong in the block is raised, whatever goes wrong after it, except that outputs which may be on are said
    before it.  Where an earlier attempt had failed and this one does not, nothing may be on any more, and what went
    wrong before that is raised.  `again`: whether it is called even if an attempt has just failed; False where a later
    one follows at once, since each takes its time on a wire that is cut.
    """

    def __init__(self, make_safe: Callable[[], None], *, again: bool = True) -> None:
        self._make_safe, self._again = make_safe, again

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, first: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(first, NotSafeError) and not self._again:
            return
        try:
            self._make_safe()
        except NotSafeError as error:
            if first is None:
                raise
            raise error.after(first) from first
        except Exception as error:  # what came first is the cause
            if first is None:
                raise
            first.add_note(str(error))
        else:
            if isinstance(first, NotSafeError) and first.__cause__ is not None:
                raise first.__cause__ from None
