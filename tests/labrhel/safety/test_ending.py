"""How whatever drives a rig ends: made safe however it ends, and the first cause is what is said."""

import pytest

from labrhel.errors import InstrumentError, NotSafeError
from labrhel.safety.ending import Ending


class Rig:
    """A rig whose wires are cut or whole; counts how often it was made safe."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure, self.calls = failure, 0

    def make_safe(self) -> None:
        self.calls += 1
        if self.failure is not None:
            raise self.failure


def left_on(why: str = "the wire is cut") -> NotSafeError:
    return NotSafeError({"bias.ch1": 0.7, "bias.ch2": None}, why)


def test_a_block_that_ends_well_ends_safe() -> None:
    rig = Rig()
    with Ending(rig.make_safe):
        assert rig.calls == 0
    assert rig.calls == 1


def test_what_went_wrong_in_the_block_is_said_and_a_failure_after_it_is_a_note() -> None:
    rig = Rig(InstrumentError("the log is full"))
    with pytest.raises(ValueError, match="first") as caught, Ending(rig.make_safe):
        raise ValueError("first")
    assert rig.calls == 1
    assert caught.value.__notes__ == ["the log is full"]


def test_a_failure_of_making_safe_alone_is_raised() -> None:
    rig = Rig(InstrumentError("the log is full"))
    with pytest.raises(InstrumentError, match="the log is full"), Ending(rig.make_safe):
        pass


def test_outputs_that_may_be_on_are_said_first_and_the_first_cause_after_them() -> None:
    with pytest.raises(NotSafeError) as caught, Ending(Rig(left_on()).make_safe):
        raise ValueError("no such file")
    assert str(caught.value) == (
        "OUTPUTS MAY STILL BE ON: bias.ch1 at 0.7 V, bias.ch2 at an unknown level: "
        "no such file; then, making safe: the wire is cut"
    )
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(NotSafeError, match=r"bias\.ch1 at 0\.7 V.*: the wire is cut"), Ending(Rig(left_on()).make_safe):
        pass


def test_of_two_attempts_that_failed_the_first_cause_is_said() -> None:
    with pytest.raises(NotSafeError, match=r"unknown level: the first wire is cut$"), Ending(Rig(left_on()).make_safe):
        raise left_on("the first wire is cut")


def test_where_a_later_attempt_succeeds_nothing_is_said_of_outputs() -> None:
    rig = Rig()
    with pytest.raises(InstrumentError, match="nobody listens"), Ending(rig.make_safe):
        raise left_on() from InstrumentError("nobody listens")
    assert rig.calls == 1
    with pytest.raises(NotSafeError), Ending(rig.make_safe):
        raise left_on()  # of which no cause is known: it is said as it is


def test_an_attempt_that_has_just_failed_is_not_repeated_where_a_later_one_follows() -> None:
    rig = Rig()
    with pytest.raises(NotSafeError, match="the wire is cut"), Ending(rig.make_safe, again=False):
        raise left_on()
    assert rig.calls == 0
    with pytest.raises(ValueError, match="another"), Ending(rig.make_safe, again=False):
        raise ValueError("another")
    assert rig.calls == 1


def test_unless_it_is_said_otherwise_an_attempt_that_has_just_failed_is_repeated() -> None:
    rig = Rig(left_on())
    with pytest.raises(NotSafeError), Ending(rig.make_safe):
        raise left_on()
    assert rig.calls == 1
