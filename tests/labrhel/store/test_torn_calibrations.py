"""Calibration records that a kill has torn, or a disk that is full: what was accepted is there, and the next is taken.

LABRHEL_TEARS=1000 is the full count.  A full disk is a limit of the size of files, which writes what still fits.
"""

import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labrhel.errors import RecordError
from labrhel.rig.calibration import CalibratedValue
from labrhel.store.calibrations import CalibrationRecord, Entry

TEARS = int(os.environ.get("LABRHEL_TEARS", "60"))
URL = "sim:x"


def value(number: float) -> CalibratedValue:
    return CalibratedValue(number, "V", 0.01, "fit", "run7", 12.5, "gain", "q1")


def accepted(record: CalibrationRecord, rng: random.Random) -> Entry:
    """Propose some values, which makes a line of some hundred bytes to some thousand, and accept them."""
    count = rng.choice((1, 3, 40))
    return record.accept([record.propose("gain", {f"f{k}.gain": value(rng.random()) for k in range(count)})])


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name != "posix", reason="a limit of the size of files is what POSIX has")
def test_what_was_accepted_is_in_force_whatever_a_kill_or_a_full_disk_has_torn_since(tmp_path: Path) -> None:
    for seed in range(TEARS):
        rng, folder = random.Random(seed), tmp_path / str(seed)
        record = CalibrationRecord(folder, URL)
        for _ in range(rng.randrange(1, 4)):
            accepted(record, rng)
        assert record.file is not None
        known = list(record.entries)
        whole = record.file.read_bytes()
        if seed % 2:  # a kill in the middle of the last line, or of the new line that ends it
            last = whole.rstrip(b"\n").rfind(b"\n") + 1
            cut = rng.randrange(last, len(whole))
            record.file.write_bytes(whole[:cut])
            if cut < len(whole) - 1:  # a line that lacks its end alone is whole
                known.pop()
        else:
            with no_file_larger_than(len(whole) + rng.randrange(300)):
                try:
                    while True:
                        known.append(record.propose("gain", {"f0.gain": value(rng.random())}))
                except RecordError as error:
                    assert "nothing was accepted" in str(error)
            assert record.file.read_bytes()[: len(whole)] == whole
        again = CalibrationRecord(folder, URL)
        assert again.entries == known, seed
        new = accepted(again, rng)
        read = CalibrationRecord(folder, URL)
        assert read.entries == again.entries and read.entries[-1] == new, seed
        assert read.current().values == read.entries[-2].values, seed
