"""One instrument under two names is refused: its terminals would have limits twice."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.bench.capabilities import check_boxes
from drivers.roles import Instrument
from labrhel.errors import ConfigurationError

DOCUMENT = cast(Any, SimpleNamespace(at=lambda *place: nullcontext()))


def boxes(*identities: str) -> dict[str, Instrument]:
    return {f"box{at}": cast(Instrument, SimpleNamespace(identity=text)) for at, text in enumerate(identities)}


def test_an_instrument_at_two_addresses_is_refused_by_its_serial_number() -> None:
    with pytest.raises(ConfigurationError, match="box0 and box2 are one instrument, QDevil, QDAC-II, 17, under two"):
        check_boxes(
            DOCUMENT, boxes("QDevil, QDAC-II, 17, 3-1.20", "QDevil, QDAC-II, 18, 3-1.20", "QDevil,QDAC-II,17,x")
        )


@pytest.mark.parametrize("identity", ["REDPITAYA,INSTR2023,0,01-02", "X,Y,,1", "no fields", "A,B,000,1"])
def test_instruments_without_a_serial_number_may_be_alike(identity: str) -> None:
    check_boxes(DOCUMENT, boxes(identity, identity))
