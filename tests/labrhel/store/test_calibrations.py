"""Lines of a calibration record: what each holds, when it was written, and what is in force after it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError, RecordError
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.store.calibrations import CalibrationRecord

START = datetime(2030, 1, 1, tzinfo=UTC)


def value(number: float, node: str = "paths") -> CalibratedValue:
    return CalibratedValue(number, "V", 0.01, "fit", "run7", 12.5, node, "q1")


def ticking() -> object:
    seconds = iter(range(99))
    return lambda: START + timedelta(seconds=next(seconds))


def numbers(record: CalibrationRecord, until: str = "") -> dict[str, float]:
    return {name: item.value for name, item in record.current(until).values.items()}


def test_every_line_says_what_it_is_and_holds_nothing_that_it_has_not(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path / "deep", "sim:x", ticking())  # type: ignore[arg-type]
    assert record.file is not None and not record.file.exists()
    first = record.propose("paths", {"f1.gain": value(1.5)}, ["a", "b"], firmware="v3")
    second = record.accept([first])
    third = record.roll_back(second.id)
    lines = [json.loads(line) for line in record.file.read_text().splitlines()]
    assert all(isinstance(line.pop("check"), int) for line in lines)
    assert lines == [
        {
            "id": first.id, "time": "2030-01-01T00:00:00+00:00", "kind": "proposed", "rig": "sim:x", "node": "paths",
            "firmware": "v3", "words": ["a", "b"],
            "values": {"f1.gain": {
                "value": 1.5, "unit": "V", "uncertainty": 0.01, "method": "fit", "run": "run7", "valid_until": 12.5,
                "node": "paths", "reference": "q1",
            }},
        },
        {"id": second.id, "time": "2030-01-01T00:00:01+00:00", "kind": "accepted", "rig": "sim:x",
         "refers": [first.id]},
        {"id": third.id, "time": "2030-01-01T00:00:02+00:00", "kind": "rolled back", "rig": "sim:x",
         "refers": [second.id]},
    ]  # fmt: skip
    assert CalibrationRecord(tmp_path / "deep", "sim:x").entries == record.entries == [first, second, third]
    assert len({first.id, second.id, third.id}) == 3 and len(first.id) == 8


def test_what_is_in_force_is_what_the_lines_say_up_to_any_of_them(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    one = record.propose("paths", {"f1.gain": value(1.0), "f2.gain": value(2.0)})
    two = record.propose("noise", {"q1.noise": value(0.1, "noise")})
    both = record.accept([one, two])
    three = record.propose("paths", {"f1.gain": value(3.0)})
    assert numbers(record) == {"f1.gain": 1.0, "f2.gain": 2.0, "q1.noise": 0.1}
    last = record.accept([three])
    # What the node no longer tells is no longer known; what other nodes say stands.
    assert numbers(record) == {"q1.noise": 0.1, "f1.gain": 3.0}
    record.roll_back(both.id)
    assert numbers(record) == {"f1.gain": 1.0, "f2.gain": 2.0, "q1.noise": 0.1}
    assert numbers(record, two.id) == {}
    assert numbers(record, three.id) == numbers(record, both.id) == numbers(record)
    assert numbers(record, last.id) == {"q1.noise": 0.1, "f1.gain": 3.0}
    record.roll_back(one.id)
    assert numbers(record) == {}


def test_an_entry_is_found_by_the_beginning_of_its_id_if_that_is_enough(tmp_path: Path) -> None:
    record = CalibrationRecord(None, "sim:x")
    entry = record.propose("paths", {"f1.gain": value(1.0)})
    assert record.find(entry.id) is record.find(entry.id[:5]) is entry
    with pytest.raises(ConfigurationError, match="no entry begins with 'none'"):
        record.find("none")
    record.propose("paths", {})
    with pytest.raises(ConfigurationError, match="2 entries begin with ''"):
        record.find("")


def test_a_record_without_a_folder_writes_nothing_and_knows_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = CalibrationRecord(None, "sim:x")
    record.accept([record.propose("paths", {"f1.gain": value(1.0)})])
    assert numbers(record) == {"f1.gain": 1.0}
    assert record.file is None and not list(tmp_path.iterdir())


def test_a_set_that_is_held_is_in_force_node_by_node() -> None:
    held = CalibrationSet({"f1.gain": value(1.0), "q1.noise": value(0.1, "noise"), "f2.gain": value(2.0)})
    record = CalibrationRecord.holding("sim:x", held)
    assert record.current() == held
    assert [entry.node for entry in record.entries] == ["paths", "noise", ""]
    record.accept([record.propose("noise", {})])
    assert numbers(record) == {"f1.gain": 1.0, "f2.gain": 2.0}


def test_only_the_last_line_may_be_torn(tmp_path: Path) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    record.accept([record.propose("paths", {"f1.gain": value(1.0)})])
    assert record.file is not None
    first, second = record.file.read_text().splitlines()
    record.file.write_text(f"{first}\n{second[:-5]}")
    assert [entry.kind for entry in CalibrationRecord(tmp_path, "sim:x").entries] == ["proposed"]
    record.file.write_text(f"{first}\n{first[:-5]}\n{second}\n")
    with pytest.raises(RecordError, match=r"jsonl:2 is damaged; restore the file from a copy"):
        CalibrationRecord(tmp_path, "sim:x")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sim:rigs/six.yaml?seed=3", "sim-six-yaml-"),
        ("bench:dir/a.yaml?traffic=x.jsonl", "bench-a-yaml-"),
        ("sim:" + "x" * 99, f"sim-{'x' * 56}-"),
    ],
)
def test_a_record_is_named_after_its_rig(tmp_path: Path, url: str, name: str) -> None:
    file = CalibrationRecord(tmp_path, url).file
    assert file is not None and file.parent == tmp_path
    stem, _, digest = file.stem.rpartition("-")
    assert (f"{stem}-", len(digest), file.suffix) == (name, 8, ".jsonl")


def test_a_bench_has_one_record_wherever_it_is_started_from_and_each_virtual_device_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def file(url: str) -> str:
        found = CalibrationRecord(tmp_path, url).file
        assert found is not None
        return found.name

    (tmp_path / "lab").mkdir()
    monkeypatch.chdir(tmp_path)
    bench = file("bench:lab/station.yaml")
    assert bench == file(f"bench:{tmp_path}/lab/station.yaml") == file("bench:lab/station.yaml?log=traffic.txt")
    monkeypatch.chdir(tmp_path / "lab")
    assert file("bench:station.yaml") == bench != file("bench:lab/station.yaml")
    assert re.fullmatch(r"bench-station-yaml-[0-9a-f]{8}\.jsonl", bench)
    devices = {file(f"sim:lab/rig.yaml?seed={seed}") for seed in (1, 2)} | {file("sim:lab/rig.yaml")}
    assert len(devices) == 3
    assert all(re.fullmatch(r"sim-rig-yaml-[0-9a-f]{8}\.jsonl", name) for name in devices)
    assert re.fullmatch(r"sim-a-b-[0-9a-f]{8}\.jsonl", file("sim:--a  b--"))
    assert len(file("sim:" + "x" * 200)) == 60 + len("-01234567.jsonl")


@pytest.mark.parametrize(
    ("old", "new"), [('"kind": "proposed"', '"kind": "proposes"'), ('"accepted"', '"rolled back"')]
)
def test_a_line_without_a_checksum_that_refers_to_no_proposal_is_refused(tmp_path: Path, old: str, new: str) -> None:
    record = CalibrationRecord(tmp_path, "sim:x")
    record.accept([record.propose(node, {"f1.gain": value(1.0, node)}) for node in ("paths", "noise")])
    assert record.file is not None
    text = re.sub(r', "check": [0-9]+}', "}", record.file.read_text())
    record.file.write_text(text.replace(old, new))
    with pytest.raises(RecordError, match="refers to no proposal"):
        CalibrationRecord(tmp_path, "sim:x")
