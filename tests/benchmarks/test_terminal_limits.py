"""Random stations at the drivers' writes; `python -m benchmarks.terminal_limits` tries ten thousand."""

import pytest

from benchmarks.terminal_limits import campaign

pytestmark = pytest.mark.slow
COUNTS = ((80, False), (3, True))


@pytest.mark.parametrize(("count", "sockets"), COUNTS)
def test_no_voltage_is_beyond_what_all_that_names_a_terminal_allows(
    count: int, *, sockets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABRHEL_STATE", "")  # put back afterwards
    tally = campaign(range(count), sockets=sockets)
    assert tally.bad == []
    assert tally.ends["used"] and tally.ends["refused when read"]
    assert sum(tally.ends.values()) == count
