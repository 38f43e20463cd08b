"""A VISA library for pyvisa whose only resource is the wire of one driver: `visalib` of a QCoDeS VisaInstrument.

pyvisa makes messages, blocks and terminators; what it hands to its library are bytes, by attributes of the session such
as its time-out and its termination character.  Those bytes go through a `DriverWire`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyvisa import constants, errors, rname
from pyvisa.constants import ResourceAttribute, StatusCode
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.util import LibraryPath

from drivers.transport.driver_wire import DriverWire

_COUNT = itertools.count(1)
_MANAGER, _SESSION = 1, 2
_LONGEST = 3600.0  # s that stand for a time-out without end: whoever stops it interrupts the wire
_USUAL: dict[int, Any] = {
    ResourceAttribute.timeout_value: 2000,
    ResourceAttribute.termchar: ord("\n"),
    ResourceAttribute.termchar_enabled: False,
    ResourceAttribute.send_end_enabled: True,
    ResourceAttribute.suppress_end_enabled: False,
    ResourceAttribute.interface_number: 0,
    ResourceAttribute.max_queue_length: 50,
}


class DriverLibrary(VisaLibraryBase):
    """See the module; `library_of` makes one."""

    wire: DriverWire

    @staticmethod
    def get_library_paths() -> Iterable[LibraryPath]:
        """None that could be found: each is made for its wire."""
        return ()

    def _init(self) -> None:
        self._attributes = dict(_USUAL)

    def open_default_resource_manager(self) -> tuple[Any, StatusCode]:
        return _MANAGER, self._good(_MANAGER)

    def list_resources(self, session: Any, query: str = "?*::INSTR") -> tuple[str, ...]:
        return (self.wire.name,)

    def open(
        self,
        session: Any,
        resource_name: str,
        access_mode: constants.AccessModes = constants.AccessModes.no_lock,
        open_timeout: int = constants.VI_TMO_IMMEDIATE,
    ) -> tuple[Any, StatusCode]:
        parsed = rname.parse_resource_name(resource_name)
        self._attributes |= {
            ResourceAttribute.resource_name: str(parsed),
            ResourceAttribute.resource_class: parsed.resource_class,
            ResourceAttribute.interface_type: parsed.interface_type_const,
        }
        return _SESSION, self._good(_SESSION)

    def close(self, session: Any) -> StatusCode:
        return self._good(session)

    def write(self, session: Any, data: bytes) -> tuple[int, StatusCode]:
        with self._as_visa(session):
            self.wire.write(bytes(data), self._seconds)
        return len(data), self._good(session)

    def read(self, session: Any, count: int) -> tuple[bytes, StatusCode]:
        end = b""
        if self._attributes[ResourceAttribute.termchar_enabled]:
            end = bytes([self._attributes[ResourceAttribute.termchar]])
        with self._as_visa(session):
            data, is_all = self.wire.read(count, end, self._seconds)
        if not is_all:
            return data, self.handle_return_value(session, StatusCode.success_max_count_read)
        if end and data.endswith(end):
            return data, self.handle_return_value(session, StatusCode.success_termination_character_read)
        return data, self._good(session)

    def clear(self, session: Any) -> StatusCode:
        with self._as_visa(session):
            self.wire.clear()
        return self._good(session)

    def flush(self, session: Any, mask: Any) -> StatusCode:
        return self._good(session)

    def get_attribute(self, session: Any, attribute: Any) -> tuple[Any, StatusCode]:
        if attribute not in self._attributes:
            self.handle_return_value(session, StatusCode.error_nonsupported_attribute)
        return self._attributes[attribute], self._good(session)

    def set_attribute(self, session: Any, attribute: Any, attribute_state: Any) -> StatusCode:
        self._attributes[attribute] = attribute_state
        return self._good(session)

    def disable_event(self, session: Any, event_type: Any, mechanism: Any) -> StatusCode:
        return StatusCode.success

    def discard_events(self, session: Any, event_type: Any, mechanism: Any) -> StatusCode:
        return StatusCode.success

    @property
    def _seconds(self) -> float:
        milliseconds = self._attributes[ResourceAttribute.timeout_value]
        return _LONGEST if milliseconds == constants.VI_TMO_INFINITE else milliseconds / 1000

    def _good(self, session: Any) -> StatusCode:
        return self.handle_return_value(session, StatusCode.success)

    @contextmanager
    def _as_visa(self, session: Any) -> Iterator[None]:
        """VISA's own errors for those of a port: drivers may know them."""
        try:
            yield
        except TimeoutError as error:
            raise errors.VisaIOError(StatusCode.error_timeout) from error
        except OSError as error:
            raise errors.VisaIOError(StatusCode.error_connection_lost) from error


def library_of(wire: DriverWire) -> DriverLibrary:
    """The library that knows this wire."""
    library = DriverLibrary(LibraryPath(f"labrhel-{next(_COUNT)}", "made for one driver"))
    assert isinstance(library, DriverLibrary)
    library.wire = wire
    return library
