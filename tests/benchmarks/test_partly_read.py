"""The figures of partly read rigs, on few of them."""

from pathlib import Path

import numpy as np

from benchmarks.partly_read import Row, figures, kept, row


def test_a_partly_read_rig_is_as_exact_where_it_is_read_and_honest_where_it_is_not() -> None:
    found = row(3, 0.0, steps=150)
    assert found.local < 2 * found.whole + 1e-3
    assert found.cosine > 0.99
    assert found.held > 0.8 * found.others
    assert not found.refused


def test_a_rig_that_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    told = Row(7, 2, 0.1, 0.1, 0.2, 0.995, 19, 20, ("mass",))
    line = '{"folds": 1.5, "seed": 7, "read": 2, "local": 0.1, "whole": 0.1, "other": 0.2, "cosine": 0.995, '
    file.write_text(line + '"held": 19, "others": 20, "refused": ["mass"]}\n')
    again = kept(7, 1.5, file)
    assert (again.local, again.cosine, again.held) == (told.local, told.cosine, told.held)
    said = {item.target: item for item in figures([again], "lossy", compensated=True)}
    assert np.all([item.met is not False for item in said.values()])
