import pytest

from labrhel.errors import ConfigurationError
from labrhel.store import Policy


@pytest.mark.parametrize(
    ("text", "every", "kept"),
    [
        ("all", 1, [0, 1, 2, 3, 4, 5, 6]),
        ("none", None, []),
        (" every  3 ", 3, [0, 3, 6]),
        ("every 2", 2, [0, 2, 4, 6]),
    ],
)
def test_a_policy_keeps_the_first_step_and_every_nth_from_there(text: str, every: int | None, kept: list[int]) -> None:
    policy = Policy.parse(text)
    assert policy.every == every
    assert [step for step in range(7) if policy.keeps(step)] == kept


def test_all_is_kept_unless_one_says_otherwise() -> None:
    assert Policy() == Policy.parse("all")
    assert (str(Policy()), str(Policy(None)), str(Policy(7))) == ("all", "none", "every 7")


@pytest.mark.parametrize("text", ["every 1 2", "each 2", "none 1", "every two", "every 0"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="all, every N"):
        Policy.parse(text)


def test_what_cannot_be_done_afterwards_is_said_where_traces_are_missing() -> None:
    assert Policy(1).what_is_missing() == ""
    assert "cannot be replayed, no twin can be fitted" in Policy(None).what_is_missing()
    assert Policy(5).what_is_missing().startswith("traces were kept for one step in 5: other steps cannot be replayed")
