import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Capabilities, Channel, Converter, Kind, Knob, Limits, Port

EYE = FrozenArray(np.eye(1))
RIG = Capabilities(
    "bench",
    1,
    (Port("u1", Kind.INPUT), Port("f1", Kind.FORCE)),
    (Channel("q1", Kind.POSITION), Channel("v1", Kind.VELOCITY)),
    (Knob("mass", (1,)),),
    EYE,
    EYE,
    EYE,
)


@pytest.mark.parametrize(("what", "has"), [("port", "u1, f1"), ("channel", "q1, v1"), ("knob", "mass")])
def test_asking_for_what_a_rig_lacks_names_what_it_has(what: str, has: str) -> None:
    with pytest.raises(ProgramError, match=f"rig bench has no {what} 'zz'; it has: {has}"):
        getattr(RIG, what)("zz")


def test_ports_and_channels_are_found_by_kind_in_declared_order() -> None:
    assert RIG.ports_of(Kind.FORCE) == ("f1",)
    assert RIG.channels_of(Kind.POSITION) == ("q1",)
    assert RIG.channels_of(Kind.AMPLITUDE) == ()


def test_a_converter_of_n_bits_has_2_to_the_n_codes_that_reach_both_ends() -> None:
    converter = Converter(8, -1.0, 1.0)
    assert converter.low + 255 * converter.lsb == pytest.approx(converter.high)


@pytest.mark.parametrize(("low", "high"), [(1.0, -1.0), (np.nan, 1.0), (0.0, np.nan)])
def test_limits_that_allow_nothing_or_everything_by_mistake_are_refused(low: float, high: float) -> None:
    with pytest.raises(ProgramError, match="low <= high"):
        Limits(low, high)
