"""One flipped bit anywhere in a record is named or changes nothing; it is never read as something else."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel.cli.inspecting import verify
from labrhel.errors import RecordError
from labrhel.executor import Compiling, Handler, Limiting, Recorder, RigBackend
from labrhel.frozen import digest_of
from labrhel.shots.operations import Checkpoint, Configure, Publish, Read, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from labrhel.store import Policy, RunReader, create_run
from labrhel.store.index import label, rows
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

FLIPS = int(os.environ.get("LABRHEL_FLIPS", "60"))
LARGE = 9_000  # samples: with two channels of them, an array in a file of its own


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps with everything in it that a record can hold."""
    root, config = tmp_path_factory.mktemp("runs"), "model: {}\n"
    facts = {"rig": "sim:", "seed": 3, "units": {"a": "V"}, "configuration_digest": digest_of(config)}
    writer = create_run(root, "flipped", facts, config, Policy.parse("all"))
    rig = SimulatedRig(OscillatorNetwork(2, coupling="all"))
    handler: Handler = Compiling(Limiting(Recorder(RigBackend(rig), writer), rig.capabilities), rig.capabilities)
    with writer:
        for step in range(2):
            handler.do(Configure({"stiffness": np.array([1.0, 1.5 + step])}))
            handler.do(Read(("stiffness",)))
            handler.do(RunShots((program(40, step), program(LARGE, step))))
            handler.do(Publish(step, {"loss": 1.0 / (1 + step)}, ("a warning",)))
            state = {"parameters": np.array([0.1 * step, 2.0]), "parameter_names": ["a[0]", "b[]"]}
            handler.do(Checkpoint(step + 1, state))
    label(writer.folder, add=["good"], note="a note")
    return writer.folder


def program(steps: int, phase: float) -> ShotProgram:
    drive = Drive("u1", Waveform.of(np.sin(0.1 * np.arange(steps) + phase), 0.1), Role.INPUT)
    return ShotProgram(0.1, Rest(), (Pass(steps, (drive,), Acquire(("q1", "v2"), 1, ("stiffness",), True)),))


def everything(folder: Path) -> list[Any]:
    """All that a reader gives, as plain values that can be compared."""
    reader = RunReader(folder)
    shots = reader.shots()
    (row,) = rows(folder.parent)
    checkpoint = reader.last_checkpoint()
    assert checkpoint is not None
    return [
        dict(reader.manifest), reader.config_text, reader.status, reader.events(), reader.words(),
        _plain(reader.scalars()), _plain(reader.parameters()), checkpoint.step, _plain(checkpoint.state),
        [(item.kind, item.step, _plain(item.values)) for item in reader.operations()],
        shots, [reader.load_program(shot.program).content() for shot in shots],
        [[_plain({name: trace.values for name, trace in item.traces.items()}) for item in reader.load_capture(shot)]
         for shot in shots],
        (row.tags, row.note, row.damage),
    ]  # fmt: skip


def _plain(values: Any) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in values.items()}


def test_no_flipped_bit_is_read_as_good_and_verify_names_those_that_matter(record: Path, tmp_path: Path) -> None:
    truth = everything(record)
    random = np.random.default_rng(20261129)
    files = [path for path in sorted(record.rglob("*")) if path.is_file() and path.name not in ("writer.lock",)]
    assert {path.name for path in files} >= {"manifest.json", "config.yaml", "journal.log", "labels.json"}
    assert any(path.suffix == ".npy" for path in files)
    silent, missed = [], []
    for turn in range(FLIPS):
        victim = files[turn % len(files)]
        place = int(random.integers(0, 8 * victim.stat().st_size))
        folder = tmp_path / f"{turn}" / record.name
        shutil.copytree(record, folder, copy_function=os.link)  # only the victim is a copy of its own
        copy = folder / victim.relative_to(record)
        data = bytearray(copy.read_bytes())
        data[place // 8] ^= 1 << place % 8
        copy.unlink()
        copy.write_bytes(data)
        try:
            found = everything(folder)
        except RecordError:
            found = None
        # The state before the last is good enough to go on from; that it was taken is for verify to say.
        if found is not None and found != truth and victim.name not in ("labels.json", "checkpoint.1"):
            silent.append((victim.name, place))
        if found != truth and victim.name != "labels.json" and verify([str(folder)], tmp_path, {}):
            missed.append((victim.name, place))
        if victim.name == "labels.json" and found is not None and found[:-1] + [None] == truth[:-1] + [None]:  # noqa: RUF005
            tags, note, _ = found[-1]
            if (tags, note) not in (truth[-1][:2], ((), "(its labels cannot be read)")):
                silent.append((victim.name, place))
        shutil.rmtree(folder.parent)
    assert silent == []
    assert missed == []


def test_a_zero_in_the_middle_of_a_journal_is_damage_not_the_end(record: Path, tmp_path: Path) -> None:
    folder = tmp_path / record.name
    shutil.copytree(record, folder)
    journal = folder / "journal.log"
    data = bytearray(journal.read_bytes())
    space = data.index(b" ", 30)  # in the head of the first frame, as json writes it
    data[space] = 0
    journal.write_bytes(data)
    with pytest.raises(RecordError, match="damaged at byte 0"):
        RunReader(folder).events()


def test_a_manifest_without_a_key_is_named_where_it_is_asked_for_and_hides_no_neighbour(
    record: Path, tmp_path: Path
) -> None:
    from labrhel.store.manifest import FILE, manifest_text, read_manifest

    shutil.copytree(record, tmp_path / "good")
    shutil.copytree(record, tmp_path / "bad")
    facts = {key: value for key, value in read_manifest(record).items() if key != "policy"}
    (tmp_path / "bad" / FILE).write_text(manifest_text(facts), encoding="utf-8")
    with pytest.raises(RecordError, match=r"manifest\.json cannot be read \(policy: Field required\)"):
        RunReader(tmp_path / "bad")
    found = {row.folder.name: row.damage for row in rows(tmp_path)}
    assert found["good"] == "" and "policy" in found["bad"]
    with pytest.raises(RecordError, match=r"has no 'home', which this needs"):
        RunReader(tmp_path / "good").manifest["home"]


@pytest.mark.parametrize("name", ["plot.png", "checkpoint.1", "journal.log", "arrays"])
def test_a_link_or_a_pipe_in_a_run_folder_is_refused_before_anything_is_opened(
    record: Path, tmp_path: Path, name: str
) -> None:
    folder, mine = tmp_path / "run", tmp_path / "mine"
    shutil.copytree(record, folder)
    mine.write_text("mine")
    if (folder / name).is_dir():
        shutil.rmtree(folder / name)
    else:
        (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(mine)
    with pytest.raises(RecordError, match="is a link or no file"):
        RunReader(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(RecordError, match="is a link or no file"):
        RunReader(folder)
    assert mine.read_text() == "mine"
