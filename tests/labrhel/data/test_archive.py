import os
from pathlib import Path

import numpy as np
import pytest

from labrhel.data import search_path
from labrhel.data.archive import read_archive, read_ts
from labrhel.errors import ConfigurationError

HEADER = "# real files open with comments\n@problemName Toy\n@timeStamps false\n@classLabel true slow fast\n\n@data\n"
TRAIN = HEADER + "1,2,3:4,5,6:slow\n-1.5,2e-1,0:0,0,0:fast\n"


def written(folder: Path, train: str = TRAIN, test: str = HEADER + "7,8,9:1,1,1:fast\n1,2,3:4,5,6:slow\n") -> Path:
    (folder / "Toy_TRAIN.ts").write_text(train)
    (folder / "Toy_TEST.ts").write_text(test)
    return folder / "Toy_TRAIN.ts"


def test_a_ts_file_gives_time_by_channels_and_the_number_of_the_class(tmp_path: Path) -> None:
    samples, labels = read_ts(written(tmp_path))
    assert labels == ("slow", "fast")
    np.testing.assert_array_equal(samples.inputs[0], np.array([[1, 4], [2, 5], [3, 6]], np.float32))
    np.testing.assert_allclose(samples.inputs[1][:, 0], [-1.5, 0.2, 0])
    assert [int(target) for target in samples.targets] == [0, 1]


def test_both_files_are_merged_and_the_duplicate_is_dropped(tmp_path: Path) -> None:
    written(tmp_path)
    archive = read_archive("Toy_TRAIN.ts", [tmp_path])
    assert len(archive.samples) == 3
    assert archive.channels == 2


def test_the_same_data_as_npz_and_as_ts_read_the_same(tmp_path: Path) -> None:
    ts = read_archive(written(tmp_path).name, [tmp_path])
    stacked, classes = ts.samples.stacked()
    x = np.swapaxes(stacked, 1, 2)
    np.savez(
        tmp_path / "toy.npz", X_train=x[:2], y_train=classes[:2], X_test=x[2:], y_test=classes[2:], labels=ts.labels
    )
    npz = read_archive("toy.npz", [tmp_path])
    assert npz.labels == ts.labels
    np.testing.assert_array_equal(npz.samples.stacked()[0], stacked)
    np.testing.assert_array_equal(npz.samples.stacked()[1], classes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            TRAIN.replace(":fast\n", ":medium\n"),
            "Toy_TRAIN.ts:8: the class 'medium' is not one of the header: slow, fast",
        ),
        (TRAIN.replace("2e-1", "?"), "Toy_TRAIN.ts:8: a value is missing"),
        (TRAIN.replace("2e-1", "nan"), "Toy_TRAIN.ts:8: a value is not a finite number"),
        (TRAIN.replace("2e-1", "two"), "Toy_TRAIN.ts:8: could not convert string to float"),
        (TRAIN.replace(":0,0,0:", ":0,0:"), "Toy_TRAIN.ts:8: the channels of a sample differ in length"),
        (TRAIN.replace(":0,0,0:", ":"), "Toy_TRAIN.ts:8: 1 channels where the first sample has 2"),
        (TRAIN.replace("@timeStamps false", "@timeStamps true"), "time stamps are not read"),
        (TRAIN.replace("@classLabel true slow fast", "@classLabel false"), "the header names no classes"),
        (HEADER, "there is no sample after @data"),
    ],
)
def test_what_a_ts_file_may_not_hold_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_ts(written(tmp_path, train=text))
    assert words in str(caught.value)


def test_samples_of_different_lengths_keep_theirs_and_are_padded_with_nan_in_a_batch(tmp_path: Path) -> None:
    written(tmp_path, test=HEADER + "7,8:1,1:fast\n")
    samples = read_archive("Toy_TRAIN.ts", [tmp_path]).samples
    assert [len(values) for values in samples.inputs] == [3, 3, 2]
    stacked, _ = samples.stacked()
    np.testing.assert_array_equal(stacked[2], np.array([[7, 1], [8, 1], [np.nan, np.nan]], np.float32))
    assert np.isfinite(stacked[:2]).all()


def test_nan_behind_a_series_of_an_npz_file_is_its_end_and_anywhere_else_a_fault(tmp_path: Path) -> None:
    x = np.arange(24, dtype=float).reshape(4, 2, 3)
    x[1, :, 2] = np.nan
    y = np.array([0, 1, 0, 1])
    np.savez(tmp_path / "toy.npz", X_train=x[:2], y_train=y[:2], X_test=x[2:], y_test=y[2:])
    assert [len(values) for values in read_archive("toy.npz", [tmp_path]).samples.inputs] == [3, 2, 3, 3]
    for place in ((1, 0, 0), (1, 1, 1)):
        spoiled = x.copy()
        spoiled[place] = np.nan
        np.savez(tmp_path / "bad.npz", X_train=spoiled[:2], y_train=y[:2], X_test=x[2:], y_test=y[2:])
        with pytest.raises(ConfigurationError, match="NaN may only stand behind a series"):
            read_archive("bad.npz", [tmp_path])


def test_numbers_in_place_of_classes_are_scaled_over_both_files(tmp_path: Path) -> None:
    header = HEADER.replace("@classLabel true slow fast", "@targetLabel true")
    written(tmp_path, train=header + "1,2:3,4:10\n5,6:7,8:20\n", test=header + "1,1:1,1:60\n")
    archive = read_archive("Toy_TRAIN.ts", [tmp_path])
    assert archive.labels == ()
    targets = np.stack(archive.samples.targets)
    assert targets.shape == (3, 1)
    np.testing.assert_allclose((targets.mean(), targets.std()), (0, 1), atol=1e-6)
    np.testing.assert_allclose((targets[2] - targets[0]) / (targets[1] - targets[0]), 5, rtol=1e-6)


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("1,2:3,4:ten\n", "Toy_TRAIN.ts:7: could not convert string to float"),
        ("1,2:3,4:nan\n", "is not a finite number"),
    ],
)
def test_a_target_that_is_no_number_is_named_with_its_line(tmp_path: Path, train: str, words: str) -> None:
    header = HEADER.replace("@classLabel true slow fast", "@targetLabel true")
    with pytest.raises(ConfigurationError) as caught:
        read_ts(written(tmp_path, train=header + train))
    assert words in str(caught.value)


def test_targets_that_are_all_the_same_teach_nothing(tmp_path: Path) -> None:
    header = HEADER.replace("@classLabel true slow fast", "@targetLabel true")
    written(tmp_path, train=header + "1,2:3,4:5\n", test=header + "2,2:3,4:5\n")
    with pytest.raises(ConfigurationError, match="are the same"):
        read_archive("Toy_TRAIN.ts", [tmp_path])


def test_the_sets_as_they_were_given_stay_beside_the_merged_one(tmp_path: Path) -> None:
    archive = read_archive(written(tmp_path).name, [tmp_path])
    assert (len(archive.train), len(archive.test), len(archive.samples)) == (2, 2, 3)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no data file Toy_TRAIN\.ts in .*timeseriesclassification"):
        read_archive("Toy_TRAIN.ts", [tmp_path])


def test_basic_motions_has_eighty_recordings_of_four_activities() -> None:
    folders = search_path(Path(), os.environ)
    if not any((folder / "BasicMotions.npz").exists() for folder in folders):
        pytest.skip("BasicMotions.npz is neither in LABRHEL_DATA nor in its sub-folder data")
    archive = read_archive("BasicMotions.npz", folders)
    assert (len(archive.samples), archive.channels, len(archive.labels)) == (80, 6, 4)
    assert archive.samples.inputs[0].shape == (100, 6)


def test_comments_in_another_encoding_and_classes_spelt_as_numbers_are_read(tmp_path: Path) -> None:
    train = TRAIN.replace("slow fast", "1.0 2.0").replace(":slow", ":1").replace(":fast", ":2")
    file = written(tmp_path)
    file.write_bytes(b"# M\xfcller \x96 2012\n" + train.encode())
    samples, labels = read_ts(file)
    assert labels == ("1.0", "2.0")
    assert [int(target) for target in samples.targets] == [0, 1]


def test_missing_values_that_the_header_announces_lie_on_the_line_between_their_neighbours(tmp_path: Path) -> None:
    train = TRAIN.replace("@data", "@missing true\n@data").replace("1,2,3:4,5,6", "1,?,3:?,5,6,")
    samples, _ = read_ts(written(tmp_path, train=train))
    np.testing.assert_array_equal(samples.inputs[0], np.array([[1, 5], [2, 5], [3, 6]], np.float32))
