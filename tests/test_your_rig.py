"""docs/your-rig.md: its commands, at virtual instruments behind the addresses it names, print what stands there."""

import re
import shlex
from pathlib import Path

import pytest

from labrhel.testing.command_line import called
from simbackend.virtual_bench import virtual_bench

PAGE = (Path(__file__).parent.parent / "docs" / "your-rig.md").read_text(encoding="utf-8")
BENCH = """\
model: coupled_oscillators
ring_down: 60ms
instruments:
  awg1: {kind: keysight_33600}
  awg2: {kind: keysight_33600}
  scope1: {kind: rigol_ds1000z, noise: 1mV}
  bias1: {kind: qdac2}
"""
PLACES = {"awg1": "11::5025", "awg2": "14::5025", "scope1": "12::5555", "bias1": "13::5025"}
MOVES = ("labrhel calibrate", "--steps 10")
"""What drives the oscillators: tests of benches do."""


@pytest.mark.slow
def test_the_commands_of_the_page_print_what_stands_there(tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text(BENCH)
    (edited,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    with virtual_bench(tmp_path / "bench.yaml") as bench:
        page = PAGE
        for name, place in PLACES.items():
            page = page.replace(f"TCPIP::192.168.1.{place}::SOCKET", bench.addresses[name]["socket"])
        blocks = re.findall(r"^    \$ (labrhel .*)\n((?:    (?!\$).*\n|\n(?=    [^$]))*)", page, re.MULTILINE)
        ran = 0
        for words, expected in blocks:
            if any(word in words for word in MOVES):
                continue
            done = called(tmp_path, *shlex.split(words)[1:])
            assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
            shown = " ".join(done.stdout.split())
            for line in filter(None, (" ".join(line.split()) for line in expected.splitlines())):
                assert line == "..." or line in shown, f"{words} prints no\n{line}\nbut\n{done.stdout}"
            ran += 1
            if "written station.yaml" in shown:
                station = (tmp_path / "station.yaml").read_text()
                (tmp_path / "station.yaml").write_text(station[: station.index("rig:\n")] + edited)
    assert ran == 6
