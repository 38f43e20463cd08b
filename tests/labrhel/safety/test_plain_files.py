"""A file that somebody else named is read once, in whole, and only if it is a file."""

import errno
import os
from pathlib import Path

import pytest

from labrhel.safety.plain_files import read_plain, require_plain_file


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"12345")
    assert read_plain(file, 5) == b"12345"
    assert require_plain_file(file, 5) == 5
    for look in (read_plain, require_plain_file):
        with pytest.raises(OSError, match="longer than 4e-06 MB") as raised:
            look(file, 4)
        assert raised.value.errno == errno.EFBIG


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(OSError, match=r"no file|director"):
            read_plain(tmp_path / name)
        with pytest.raises(OSError, match=r"no file|director"):
            require_plain_file(tmp_path / name, 100)
