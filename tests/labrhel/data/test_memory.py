"""How much memory there is: what systems say, in files of the test's own."""

from pathlib import Path

import pytest

from labrhel.data import memory
from labrhel.errors import ConfigurationError

MEMINFO = "MemTotal:       24000000 kB\nMemAvailable:    2000000 kB\nSwapFree:        1000000 kB\n"


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_there_is_what_the_machine_has_left_swap_included(tmp_path: Path) -> None:
    assert memory.most(written(tmp_path, {"proc/meminfo": MEMINFO})) == 3_000_000 * 1024


@pytest.mark.parametrize(
    ("groups", "bound"),
    [
        ("0::/a/b\n", "sys/fs/cgroup/a/b/memory.max"),
        ("0::/a/b\n", "sys/fs/cgroup/a/memory.max"),
        ("0::/a/b\n", "sys/fs/cgroup/memory.max"),  # a container, whose own group is its root
        ("3:cpu:/x\n4:memory,hugetlb:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes"),
    ],
)
def test_a_container_has_no_more_than_the_smallest_bound_above_it(tmp_path: Path, groups: str, bound: str) -> None:
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": groups, "sys/fs/cgroup/a/b/memory.max": "max\n"}
    assert memory.most(written(tmp_path, files | {bound: "1000000000\n"})) == 1_000_000_000


def test_a_system_that_says_nothing_has_what_is_built_in(tmp_path: Path) -> None:
    found = memory.most(tmp_path)
    assert found is None or found > 1 << 28


def test_what_cannot_fit_is_one_sentence_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "most", lambda: 2_000_000_000)
    memory.require_room(1_900_000_000, "a tape", "take less")
    with pytest.raises(ConfigurationError, match=r"^a tape takes 2\.1 GB of memory or more, and 2 GB are left; take"):
        memory.require_room(2_100_000_000, "a tape", "take less")


def test_where_nobody_knows_how_much_there_is_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "most", lambda: None)
    memory.require_room(1e18, "a tape", "take less")
