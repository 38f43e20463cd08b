"""Passwords of brokers: from the user's own settings alone, encrypted or to this computer, and to nobody else."""

import socket
import threading
from pathlib import Path

import pytest

from labrhel.config import load
from labrhel.errors import ConfigurationError
from labrhel.telemetry import Settings, settings_of
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import SMALL

SECRET = "open sesame"


def settings(folder: Path, section: str, brokers: str, mode: int = 0o600, **environment: str) -> Settings:
    file, own = folder / "a.yaml", folder / "own" / "labrhel" / "brokers.yaml"
    file.write_text(SMALL + f"telemetry: {section}\n")
    own.parent.mkdir(parents=True)
    own.write_text(brokers)
    own.chmod(mode)
    (own.parent / "secret").write_text(f"{SECRET}\r\nmore\n")
    environment |= {"XDG_CONFIG_HOME": str(folder / "own")}
    found = settings_of(load(file), file.stem, folder, None, environment)
    assert found is not None
    return found


@pytest.mark.parametrize("where", ["password: open sesame", "password_file: secret", "password_env: WORD"])
def test_a_password_comes_from_the_users_settings_and_is_not_shown(tmp_path: Path, where: str) -> None:
    found = settings(tmp_path, "{broker: lab}", f"lab: {{user: rig, {where}}}\n", WORD=SECRET)
    assert (found.user, found.password, found.port) == ("rig", SECRET, 8883)
    assert found.tls is not None and found.tls.check_hostname
    assert "sesame" not in f"{found!r} {found}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "'::1'"])
def test_a_password_may_go_to_this_computer_in_clear(tmp_path: Path, host: str) -> None:
    found = settings(tmp_path, f"{{broker: {host}}}", f"{host}: {{tls: false, user: rig, password: {SECRET}}}\n")
    assert (found.password, found.tls, found.port) == (SECRET, None, 1883)


@pytest.mark.parametrize("host", ["lab", "127.0.0.1.lab", "localhost.lab", "10.0.0.1", "0.0.0.0"])
def test_a_password_is_never_sent_in_clear_to_another_computer(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match="in clear") as caught:
        settings(tmp_path, f"{{broker: {host}}}", f"{host}: {{tls: false, user: rig, password: {SECRET}}}\n")
    assert caught.value.line == 1
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("section", ["{broker: stranger}", "{broker: lab, port: 9999}", "{broker: lab., tls: true}"])
def test_another_broker_gets_no_password(tmp_path: Path, section: str) -> None:
    found = settings(tmp_path, section, f"lab: {{user: rig, password: {SECRET}}}\n")
    assert (found.user, found.password) == (None, None)


def test_the_authority_is_the_users_and_not_the_configurations(tmp_path: Path) -> None:
    (tmp_path / "evil.pem").write_text("not even read")
    found = settings(tmp_path, "{broker: lab, tls: true, ca: evil.pem}", f"lab: {{user: rig, password: {SECRET}}}\n")
    assert found.password == SECRET


@pytest.mark.parametrize(
    ("section", "brokers", "mode", "words"),
    [
        ("{broker: lab}", "lab: {user: rig, password: x}\n", 0o644, "is not yours alone: `chmod 600"),
        ("{broker: lab, user: other}", "lab: {user: rig, password: x}\n", 0o600, "by the user 'rig', not 'other'"),
        ("{broker: localhost, tls: true}", "localhost: {tls: false}\n", 0o600, "says tls: false of localhost"),
        ("{broker: lab}", "lab: {password: x}\n", 0o600, "a password needs a user"),
        ("{broker: lab}", "lab: {user: rig, pasword: x}\n", 0o600, "did you mean 'password'?"),
        ("{broker: lab}", "lab: {user: rig, password_file: /dev/zero}\n", 0o600, "it is a folder, a pipe or a device"),
        ("{broker: lab}", "lab: {user: rig, password_file: gone}\n", 0o600, "gone: No such file or directory"),
        ("{broker: lab}", "lab: {user: rig, password_env: GONE}\n", 0o600, "the variable GONE is not set"),
        ("{broker: lab}", "lab: {user: r, password: x, password_env: y}\n", 0o600, "give one of password"),
    ],
)
def test_a_mistake_in_the_users_settings_is_one_sentence(
    tmp_path: Path, section: str, brokers: str, mode: int, words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, section, brokers, mode)
    assert words in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_configuration_cannot_send_a_file_or_a_variable_to_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE", SECRET)
    (tmp_path / "private").write_text(SECRET)
    shell, heard = Shell(tmp_path), bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    heard.extend(caller.recv(10_000))

        threading.Thread(target=listen, daemon=True).start()
        port = server.getsockname()[1]
        for key in ("password_file: private", "password_env: PRIVATE"):
            shell.write(SMALL + f"telemetry: {{broker: 127.0.0.1, port: {port}, user: me, {key}}}\n")
            status, _, said = shell("run", "small.yaml", "--steps", "1")
            assert (status, said.count("\n")) == (2, 1)
            assert "name it once for the broker" in said
            assert "small.yaml:" in said
    assert SECRET.encode() not in heard
