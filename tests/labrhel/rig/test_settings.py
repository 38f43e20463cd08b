"""Settings behind a rig URL are taken as they stand."""

from labrhel.rig.settings import settings_of


def test_plus_and_percent_are_letters_of_a_file() -> None:
    assert settings_of("traffic=a+b%20c.jsonl&n=2") == {"traffic": "a+b%20c.jsonl", "n": "2"}
    assert settings_of("") == {}
    assert settings_of("traffic=") == {"traffic": ""}
