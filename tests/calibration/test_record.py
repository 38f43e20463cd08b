"""The record of a rig's calibrations: append only, accepted by hand or rule, and back again."""

from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError, RecordError
from labrhel.rig.calibration import CalibratedValue
from labrhel.store.calibrations import CalibrationRecord


def value(number: float, node: str = "paths") -> CalibratedValue:
    return CalibratedValue(number, "1", 0.01, "fit", node=node)


def test_nothing_is_in_force_before_it_is_accepted(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    entry = record.propose("paths", {"f1.gain": value(1.1)}, ["a word"])
    assert not record.current().values
    record.accept([entry])
    again = CalibrationRecord(tmp_path, "sim:x")
    assert again.current().number("f1", "gain") == 1.1
    assert [item.kind for item in again.entries] == ["proposed", "accepted"]
    assert again.entries[0].words == ("a word",)


def test_a_node_replaces_all_that_it_said_before_and_leaves_the_others_alone(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    record.accept([record.propose("paths", {"f1.gain": value(1.1), "f2.gain": value(0.9)})])
    record.accept([record.propose("noise", {"q1.noise": value(0.1, "noise")})])
    record.accept([record.propose("paths", {"f1.gain": value(1.2)})])
    assert set(record.current().values) == {"f1.gain", "q1.noise"}


def test_one_can_go_back_and_forth(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    first = record.accept([record.propose("paths", {"f1.gain": value(1.1)})])
    second = record.accept([record.propose("paths", {"f1.gain": value(1.2)})])
    record.roll_back(first.id)
    assert record.current().number("f1", "gain") == 1.1
    record.roll_back(second.id[:6])
    assert CalibrationRecord(tmp_path, "sim:x").current().number("f1", "gain") == 1.2
    assert record.current(first.id).number("f1", "gain") == 1.1


def test_rigs_have_records_of_their_own_and_a_bench_is_one_wherever_it_is_started_from(tmp_path: Path) -> None:
    names = {CalibrationRecord(tmp_path, url).file for url in ("sim:x", "sim:x?seed=1", "bench:a.yaml", "bench:b.yaml")}
    assert len(names) == 4
    absolute = f"bench:{(Path() / 'a.yaml').absolute()}?traffic=wires.jsonl"
    assert CalibrationRecord(tmp_path, absolute).file == CalibrationRecord(tmp_path, "bench:a.yaml").file


def test_a_line_torn_by_a_crash_is_left_out_and_one_damaged_before_is_named(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    record.accept([record.propose("paths", {"f1.gain": value(1.1)})])
    assert record.file is not None
    whole = record.file.read_text()
    record.file.write_text(whole + '{"id": "abc", "ti')
    assert CalibrationRecord(tmp_path, "sim:x").current().number("f1", "gain") == 1.1
    record.file.write_text("{}\n" + whole)
    with pytest.raises(RecordError, match=r"jsonl:1 is no line of a calibration record"):
        CalibrationRecord(tmp_path, "sim:x")


def test_an_entry_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no entry begins with 'zz'"):
        CalibrationRecord(tmp_path, "sim:x").roll_back("zz")


def test_a_folder_that_cannot_be_written_accepts_nothing(tmp_path: Path) -> None:
    (tmp_path / "calibrations").write_text("a file where the folder should be")
    with pytest.raises(RecordError, match="cannot be read: Not a directory"):
        CalibrationRecord(tmp_path / "calibrations", "sim:x")
    record = CalibrationRecord(tmp_path / "later", "sim:x")
    (tmp_path / "later").write_text("a file where the folder should be by now")
    with pytest.raises(RecordError, match="nothing was accepted"):
        record.propose("paths", {"f1.gain": value(1.1)})


def test_what_errors_share_is_kept_in_the_file_and_left_out_where_there_is_nothing(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    shared = CalibratedValue(1.1, "1", 0.01, "fit", node="paths", correlations={"f2.gain": 0.7})
    record.accept([record.propose("paths", {"f1.gain": shared, "f2.gain": value(0.9)})])
    assert record.file is not None and record.file.read_text().count("correlations") == 1
    assert CalibrationRecord(tmp_path, "sim:x").current().correlation("f2.gain", "f1.gain") == 0.7
