import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.data.ppg_dalia import READING, Windows, read_ppg_dalia, read_subject, split_windows
from labrhel.data.samples import Split
from labrhel.errors import ConfigurationError

READINGS = 40
SMALL = Windows(length=4, every=2)


def write_subject(folder: Path, number: int, readings: int = READINGS) -> Path:
    """The layout of the real files; the pulse wave counts its own readings, so that alignment can be seen."""
    seconds, random = 2 * readings, np.random.default_rng(number)
    wrist = {
        "ACC": random.normal(size=(32 * seconds, 3)),
        "BVP": np.repeat(np.arange(readings, dtype=float), READING)[:, None],
        "EDA": random.normal(size=(4 * seconds, 1)),
        "TEMP": random.normal(size=(4 * seconds, 1)),
    }
    rate = np.arange(3, readings, dtype=float)  # the first average over 8 s ends with reading 3
    file = folder / f"S{number}" / f"S{number}.pkl"
    file.parent.mkdir(parents=True)
    file.write_bytes(pickle.dumps({"signal": {"wrist": wrist}, "label": rate, "subject": f"S{number}"}, protocol=2))
    return file


def split_of(folder: Path, seed: int, windows: Windows = SMALL) -> Split:
    return split_windows(read_ppg_dalia(folder), windows, seed)


def test_a_subject_has_six_channels_at_64_hz_scaled_to_one(tmp_path: Path) -> None:
    inputs, targets = read_subject(write_subject(tmp_path, 1))
    assert inputs.shape == (READINGS * READING, 6)
    assert targets.shape == (READINGS, 1)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose([inputs.min(), inputs.max(), targets.min(), targets.max()], [-1, 1, -1, 1])


def test_the_three_readings_before_the_first_average_take_its_value(tmp_path: Path) -> None:
    _, targets = read_subject(write_subject(tmp_path, 1))
    assert len(np.unique(targets[:4])) == 1
    assert targets[4] > targets[3]


def test_windows_keep_inputs_and_targets_together(tmp_path: Path) -> None:
    write_subject(tmp_path, 1)
    split = split_of(tmp_path, seed=0)
    for part in (split.train, split.validation, split.test):
        for values, target in zip(part.inputs, part.targets, strict=True):
            assert values.shape == (4 * READING, 6)
            pulse = values[READING - 1 :: READING, 3]  # -1 .. 1 over readings 0 .. 39
            rate = (target[:, 0] + 1) / 2 * (READINGS - 4) + 3
            np.testing.assert_allclose(np.maximum((pulse + 1) / 2 * (READINGS - 1), 3), rate, atol=1e-4)


def test_the_parts_share_no_sample_and_have_the_sizes_of_the_paper(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_subject(tmp_path, number)
    split = split_of(tmp_path, seed=1)
    assert [len(split.train), len(split.validation), len(split.test)] == [3 * 13, 3 * 2, 3 * 2]
    train, test = ({values.tobytes() for values in part.inputs} for part in (split.train, split.test))
    assert not train & test


def test_the_order_of_the_stretches_is_random_and_the_seed_decides_it(tmp_path: Path) -> None:
    write_subject(tmp_path, 1)
    firsts = [split_of(tmp_path, seed).test.targets[0][0, 0] for seed in range(12)]
    assert len(set(firsts)) > 1
    assert firsts[0] == split_of(tmp_path, 0).test.targets[0][0, 0]


def test_windows_are_views_of_one_recording(tmp_path: Path) -> None:
    write_subject(tmp_path, 1)
    train = split_of(tmp_path, 0).train
    assert np.shares_memory(train.inputs[0], train.inputs[1])


def test_a_pickle_that_calls_something_is_refused_and_nothing_is_called(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'touched'}",)

    file = write_subject(tmp_path, 1)
    file.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ConfigurationError, match="is not a subject of PPG-DaLiA"):
        read_subject(file)
    assert not (tmp_path / "touched").exists()


def test_a_folder_without_subjects_and_a_short_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no S1/S1\.pkl"):
        read_ppg_dalia(tmp_path)
    write_subject(tmp_path, 1)
    with pytest.raises(ConfigurationError, match=r"a record of 40 readings .* shorter than a window of 390"):
        split_of(tmp_path, 0, Windows())


def truncated(content: dict[str, Any]) -> bytes:
    return pickle.dumps(content)[:-100]


def without_label(content: dict[str, Any]) -> bytes:
    return pickle.dumps({**content, "label": np.array([])})


def with_two_axes(content: dict[str, Any]) -> bytes:
    content["signal"]["wrist"]["ACC"] = content["signal"]["wrist"]["ACC"][:, :2]
    return pickle.dumps(content)


def with_a_gap(content: dict[str, Any]) -> bytes:
    content["signal"]["wrist"]["EDA"][3] = np.nan
    return pickle.dumps(content)


@pytest.mark.parametrize("damaged", [truncated, without_label, with_two_axes, with_a_gap])
def test_a_damaged_subject_is_named_in_one_sentence(tmp_path: Path, damaged: Callable[[dict[str, Any]], bytes]) -> None:
    file = write_subject(tmp_path, 1)
    file.write_bytes(damaged(pickle.loads(file.read_bytes())))
    with pytest.raises(ConfigurationError, match=r"S1\.pkl is not a subject of PPG-DaLiA") as caught:
        read_ppg_dalia(tmp_path)
    assert "\n" not in str(caught.value)
