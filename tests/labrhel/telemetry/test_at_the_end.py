"""A message at the end of a run, by a command or over MQTT, from the user's own settings and from nowhere else."""

import json
import sys
from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError
from labrhel.telemetry.at_the_end import SILENT, End, on_end, telling
from labrhel.testing.brokers import a_broker
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import small
from labrhel.testing.subscriber import Subscriber
from labrhel.testing.waiting import wait_for

KEEPER = "import json, os, sys; json.dump([sys.argv[2], os.environ['LABRHEL_STATUS']], open(sys.argv[1], 'w'))"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the user's own settings, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    folder = tmp_path / "own" / "labrhel"
    folder.mkdir(parents=True)
    return folder / "settings.yaml"


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


def keeping(own: Path, kept: Path) -> None:
    """Settings whose command keeps what it was told."""
    write(own, f"on_end: {{command: {json.dumps([sys.executable, '-c', KEEPER, str(kept)])}}}\n")


def test_the_command_hears_how_a_run_has_ended_and_why(own: Path, tmp_path: Path) -> None:
    keeping(own, tmp_path / "kept")
    shell = Shell(tmp_path)
    shell.write(small(**{"steps: 12": "steps: 1"}))
    assert shell("run", "small.yaml", "--no-plot")[0] == 0
    sentence, status = json.loads((tmp_path / "kept").read_text())
    assert status == "done"
    assert sentence.startswith("small: done: the one planned gradient was taken; test error")


@pytest.mark.parametrize(
    ("error", "status"), [(ConfigurationError("no such key"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_it_hears_of_what_went_wrong_which_goes_on_to_be_said(
    own: Path, tmp_path: Path, error: BaseException, status: str
) -> None:
    keeping(own, tmp_path / "kept")
    with pytest.raises(type(error)), telling("one"):
        raise error
    assert json.loads((tmp_path / "kept").read_text())[1] == status


def test_the_message_goes_over_mqtt(own: Path, tmp_path: Path) -> None:
    broker = a_broker(tmp_path)
    broker.start()
    try:
        write(own, f"on_end: {{mqtt: '{broker.url()}'}}\n")
        subscriber = Subscriber(broker.port)
        with telling("one") as end:
            end.words = "all is well"
        (told,) = wait_for(lambda: subscriber.of("ended"), "the message")
        assert told == {"name": "one", "status": "done", "words": "all is well", "folder": ""}
    finally:
        broker.stop()


def test_a_message_that_cannot_be_sent_is_a_note_and_ends_nothing(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(own, "on_end: {command: [/no/such/program], mqtt: 'mqtt://127.0.0.1:1/lab'}\n")
    with telling("one"):
        pass
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["note", "note"]
    assert "cannot be run" in said[0]
    assert "no message to mqtt://127.0.0.1:1/lab" in said[1]


def test_settings_that_others_may_write_are_refused_before_anything_runs(own: Path) -> None:
    write(own, "on_end: {command: [true]}\n")
    own.chmod(0o666)
    with pytest.raises(ConfigurationError, match="can be written by others"), telling("one"):
        raise AssertionError("it has begun")


@pytest.mark.parametrize("text", ["on_end: {}\n", "on_end: {comand: [x]}\n", "at_end: {}\n", "on_end: {command: x}\n"])
def test_settings_that_are_wrong_are_refused(own: Path, text: str) -> None:
    write(own, text)
    with pytest.raises(ConfigurationError, match=r"settings\.yaml"):
        on_end()


def test_a_configuration_cannot_name_a_command(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.write(small() + "on_end: {command: [touch, bad]}\n")
    status, _, err = shell("run", "small.yaml")
    assert status == 2
    assert "unknown key" in err
    assert not (tmp_path / "bad").exists()


def test_the_points_of_a_sweep_send_none(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(own, "on_end: {command: [x]}\n")
    monkeypatch.setenv(SILENT, "1")
    assert on_end() is None


def test_the_sentence_leaves_out_what_is_not_known() -> None:
    assert str(End("one")) == "one: done"
