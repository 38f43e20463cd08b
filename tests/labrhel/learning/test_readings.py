"""What a partly read rig can be asked for is said by entry, before anything moves."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.frozen import FrozenArray
from labrhel.learning.needs import objections
from labrhel.learning.readings import named, unread_entries, unread_oscillators
from labrhel.rig.capabilities import Reversal
from protocols.rhel import RHEL
from simbackend.rigs.directed import directed_rig
from simbackend.rigs.partly_read import PartlyRead, partly_read_rig, showing

NAMES = ("stiffness", "coupling", "input")


def rig() -> PartlyRead:
    return partly_read_rig(1)


def found(rig: PartlyRead, **options: str | int) -> str:
    reference = rig.reference
    masks = {name: rig.local(name) for name in NAMES} if options.pop("local", 0) else None
    rule = RHEL(**options)  # type: ignore[arg-type]
    return "; ".join(objections(rule.needs, reference.task, reference.sequences, reference.theta, NAMES, masks))


def test_an_oscillator_is_read_if_channels_together_tell_it() -> None:
    task = rig().reference.task
    mixed = np.array([[1.0, 1, 0, 0, 0, 0], [1, -1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]])
    assert unread_oscillators(replace(task.capabilities, position_matrix=FrozenArray(mixed))) == (2, 3, 4, 5)


def test_entries_are_refused_by_name_and_the_others_are_not() -> None:
    partly = rig()
    assert partly.read == (1, 3, 0, 4)
    said = found(partly)
    assert "stiffness[2], stiffness[5]" in said
    assert "stiffness[0]" not in said
    assert "no channel shows oscillator 3, 6, which they act at" in said
    assert "unread: smoothed" in said
    assert found(partly, local=1) == ""
    assert found(partly, unread="smoothed") == ""


def test_what_the_rig_sums_itself_needs_no_channel() -> None:
    reference = rig().reference
    capabilities = replace(reference.task.capabilities, accumulates=frozenset({"stiffness"}))
    task = replace(reference.task, capabilities=capabilities)
    assert named(unread_entries(task, reference.theta, ("stiffness", "cubic"), {})) == "cubic[2], cubic[5]"


def test_the_echo_needs_the_motion_that_it_compensates_whatever_is_asked() -> None:
    assert "friction that the motion of oscillator 3, 6 makes" in found(partly_read_rig(1, folds=1.0), local=1)


def test_the_echo_needs_both_ends_of_directed_couplings() -> None:
    drawn = directed_rig(1, 0.2, folds=0.0)
    task = replace(drawn.reference.task, capabilities=showing(drawn.reference.rig.capabilities, (1, 3)))
    said = objections(RHEL().needs, task, drawn.reference.sequences, drawn.reference.theta, ())
    assert any("oscillator 1, 3, 5, 6, an end of directed couplings" in words for words in said)


def test_a_state_that_is_reversed_by_drive_must_be_seen() -> None:
    partly = rig()
    by_drive = partly.reference.declaring(reversals=frozenset({Reversal.BY_DRIVE}))
    assert "reversed by drive" in found(replace(partly, reference=by_drive), local=1)


def test_a_lock_needs_to_see_what_the_echo_misses() -> None:
    assert "positions of all 6" in found(rig(), local=1, lock=3)


@pytest.mark.parametrize("options", [{"unread": "guessed"}])
def test_an_unknown_word_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(Exception, match="refused, smoothed"):
        RHEL(**options)  # type: ignore[arg-type]
