"""What a handler is, and the loop that drives a protocol with one."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from labrhel.shots import operations

R = TypeVar("R")


class Handler(Protocol):
    """Carries out operations; wrappers and backends alike."""

    def do(self, operation: operations.Operation, /) -> Any:
        """Carry out one operation and return its result."""
        ...


def execute(protocol: operations.Protocol[R], handler: Handler) -> R:
    """Run a protocol to its end and return what it returns.

    An error of an operation is thrown into the protocol at the `yield` that asked for it, so that a protocol can
    put back what it changed (`try/finally`) before the error goes on.
    """
    try:
        operation = next(protocol)
        while True:
            try:
                result = handler.do(operation)
            except BaseException as error:
                operation = protocol.throw(error)
            else:
                operation = protocol.send(result)
    except StopIteration as end:
        return end.value
    finally:
        protocol.close()
