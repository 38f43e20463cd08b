"""The section and the URL: what they mean, and every mistake in them as one sentence."""

import os
import sys
from pathlib import Path

import pytest

from labrhel.config import load
from labrhel.errors import ConfigurationError
from labrhel.telemetry import Settings, settings_of
from labrhel.testing.configurations import SMALL


def settings(folder: Path, section: str = "", url: str | None = None, **environment: str) -> Settings | None:
    file = folder / "a#b.yaml"
    file.write_text(SMALL + (f"telemetry: {section}\n" if section else ""))
    return settings_of(load(file), file.stem, folder, url, environment)


def test_without_section_and_url_there_is_no_telemetry(tmp_path: Path) -> None:
    assert settings(tmp_path) is None


def test_a_section_needs_a_broker_alone(tmp_path: Path) -> None:
    assert settings(tmp_path, "{broker: lab}") == Settings("lab", 1883, "labrhel/a_b")
    found = settings(tmp_path, "{broker: lab, tls: true}")
    assert found is not None
    assert (found.port, str(found)) == (8883, "mqtts://lab:8883/labrhel/a_b")


def test_a_url_replaces_the_section(tmp_path: Path) -> None:
    url = "mqtt://rig%20one@desk:99/lab/rig?points=50&queue=7&traces_per_second=0.5"
    found = settings(tmp_path, "{broker: lab, user: other, prefix: else}", url)
    assert found == Settings("desk", 99, "lab/rig", "rig one", None, None, 50, 0.5, 7)


@pytest.mark.parametrize(("words", "version"), [("3.1.1", "3.1.1"), ("5", "5"), ("'5'", "5")])
def test_the_version_of_mqtt_is_said_in_the_section_or_the_url(tmp_path: Path, words: str, version: str) -> None:
    assert settings(tmp_path, f"{{broker: lab, version: {words}}}") == Settings(
        "lab", 1883, "labrhel/a_b", version=version
    )
    found = settings(tmp_path, url=f"mqtt://lab?version={version}")
    assert found is not None and found.version == version


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{}", "the key 'broker' is missing"),
        ("{broker: lab, version: 4}", "'5' or '3.1.1'"),
        ("{broker: lab, port: 0}", "must be >= 1"),
        ("{broker: lab, prot: 1}", "did you mean 'port'?"),
        ("{broker: lab, ca: ca.pem}", "add tls: true"),
        ("{broker: lab, tls: true, ca: ca.pem}", "ca.pem is no file of certificates: No such file"),
        ("{broker: lab, user: rig, password_env: SECRET}", "name it once for the broker in"),
        ("{broker: lab, user: rig, password_file: /etc/passwd}", "name it once for the broker in"),
        ("{broker: lab, user: rig, password: open}", "name it once for the broker in"),
        ("{broker: lab, prefix: /lab}", "a prefix is words with / between them"),
        ("{broker: lab, prefix: lab/+}", "a prefix is words with / between them"),
        ("{broker: lab, points: 1}", "must be >= 2"),
        ("{broker: lab, traces_per_second: -1}", "must be >= 0"),
        ("{broker: lab, queue: 0}", "must be >= 1"),
    ],
)
def test_a_mistake_in_the_section_is_named_with_its_place(tmp_path: Path, section: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, section)
    assert words in caught.value.problem
    assert caught.value.key.startswith("telemetry")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("lab", "expected mqtt://user@host:1883/prefix"),
        ("http://lab", "expected mqtt://user@host:1883/prefix"),
        ("mqtt://", "expected mqtt://user@host:1883/prefix"),
        ("mqtt://lab:99999", "out of range"),
        ("mqtt://lab:0", "must be >= 1"),
        ("mqtt://lab/a//b", "a prefix is words"),
        ("mqtt://lab?point=3", "unknown setting 'point'; known are: ca, "),
        ("mqtt://lab?points=many", "points is a number, not 'many'"),
        ("mqtt://lab?ca=x", "add tls: true"),
        ("mqtt://rig@lab?password_file=/etc/passwd", "name it once for the broker in"),
        ("mqtt://rig@lab?password_env=HOME", "name it once for the broker in"),
    ],
)
def test_a_mistake_in_the_url_is_named(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match="--telemetry") as caught:
        settings(tmp_path, url=url)
    assert words in caught.value.problem


def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="seen by everyone") as caught:
        settings(tmp_path, url="mqtt://rig:sesame@lab")
    assert "sesame" not in str(caught.value)


def test_a_run_without_telemetry_loads_no_mqtt(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, labrhel.session.run; print(sorted({'aiomqtt', 'paho'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert answer.stdout.strip() == "[]"
