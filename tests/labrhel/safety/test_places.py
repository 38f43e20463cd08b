from pathlib import Path

import pytest

from labrhel.safety.places import state_folder


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"LABRHEL_STATE": "/lab", "XDG_STATE_HOME": "/xdg", "LOCALAPPDATA": "/local"}, Path("/lab")),
        ({"XDG_STATE_HOME": "/xdg", "LOCALAPPDATA": "/local"}, Path("/xdg/labrhel")),
        ({"LOCALAPPDATA": "/local"}, Path("/local/labrhel")),
        ({"LABRHEL_STATE": ""}, Path.home() / ".local" / "state" / "labrhel"),
    ],
)
def test_the_state_of_a_user_is_where_it_was_put_or_where_the_system_keeps_such_things(
    environment: dict[str, str], folder: Path
) -> None:
    assert state_folder(environment) == folder
