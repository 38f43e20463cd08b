"""What a failed write is called: by what its user can do about it."""

import errno
from pathlib import Path

import pytest

from labrhel.errors import RecordError
from labrhel.store._trouble import writing


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk that holds /runs is full; nothing has run; free some space and resume the run"),
        (errno.EDQUOT, "the disk that holds /runs is full; nothing has run; free some space and resume the run"),
        (errno.EACCES, "/runs is not writable; nothing has run; change its permissions or choose another folder"),
        (errno.EROFS, "/runs is not writable; nothing has run; change its permissions or choose another folder"),
        (errno.EIO, "/runs: the cable is out; nothing has run"),
    ],
)
def test_an_error_of_the_system_is_said_by_what_can_be_done(number: int, words: str) -> None:
    with pytest.raises(RecordError) as caught, writing(Path("/runs"), "nothing has run"):
        raise OSError(number, "the cable is out")
    assert str(caught.value).startswith(f"the record could not be written, {words}")
    assert isinstance(caught.value.__cause__, OSError)


def test_what_the_system_did_not_say_passes_as_it_is() -> None:
    with pytest.raises(ValueError, match="odd"), writing(Path("/runs")):
        raise ValueError("odd")
