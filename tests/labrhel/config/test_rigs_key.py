"""The key `rig`: one URL, or several."""

import pytest
from pydantic import ValidationError

from labrhel.config.document import Config
from labrhel.config.rigs import MOST, in_short, said, urls_of


def config(rig: object) -> Config:
    return Config.model_validate({"model": {"oscillators": 1}, "rig": rig})


def test_one_rig_and_several_are_both_a_row_of_urls() -> None:
    assert config("sim:").rigs == ("sim:",)
    assert config(["sim:", "bench:b.yaml"]).rigs == ("sim:", "bench:b.yaml")
    assert urls_of("sim:") == ("sim:",)
    assert in_short(said(["sim:", "bench:b.yaml", "sim:?seed=1"])) == "sim: and 2 more"
    assert in_short(said(["sim:"])) == "sim:"


@pytest.mark.parametrize(
    ("rig", "words"),
    [
        ([], "expected a word, not an empty list"),
        (3, "expected a word, not 3: the URL"),
        ({"a": "sim:"}, "expected a word, not a mapping"),
        (["sim:", 3], "a URL for each rig of the list, not 3"),
        (["sim:", ["sim:"]], "a URL for each rig of the list, not a list"),
        (["sim:"] * (MOST + 1), f"{MOST} rigs are the most, not {MOST + 1}"),
    ],
)
def test_what_is_no_rig_is_refused_in_a_sentence(rig: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(rig)
