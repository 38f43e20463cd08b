"""docs/your-recording.md: its commands, on the file that it talks about, print what stands there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from labrhel.testing.command_line import called

PAGE = (Path(__file__).parent.parent / "docs" / "your-recording.md").read_text(encoding="utf-8")


def write_recording(file: Path, count: int = 1500, step: float = 0.2e-3) -> None:
    """What an oscilloscope would save of a resonator at 71 Hz that is driven by a noisy generator."""
    random = np.random.default_rng(1)
    spectrum = np.where(np.arange(count // 2 + 1) < 36, np.exp(2j * np.pi * random.random(count // 2 + 1)), 0)
    drive = np.fft.irfft(spectrum, count) * count / 12
    drive *= np.minimum(1, np.arange(count) / 100)
    k, c, b, h, steps = 0.2, 0.2, 0.15, step * 1e3, 50
    q = v = 0.0
    seen = []
    for u in drive:
        seen.append(q)
        for _ in range(steps):
            v += h / steps * (b * u - k * q - c * v)
            q += h / steps * v
    lines = [f"X,CH1,CH2,Start,Increment,\nSequence,VOLT,VOLT,{-0.01:.6e},{step:.6e}"]
    lines += [f"{i},{u:.4e},{y:.4e}," for i, (u, y) in enumerate(zip(drive, seen, strict=True))]
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_the_commands_of_the_page_print_what_stands_there(tmp_path: Path) -> None:
    write_recording(tmp_path / "NEWFILE1.CSV")
    blocks = re.findall(r"^    \$ labrhel (.*)\n((?:    (?!\$).*\n|\n(?=    [^$]))*)", PAGE, re.MULTILINE)
    assert len(blocks) == 4
    for words, expected in blocks:
        done = called(tmp_path, *shlex.split(words))
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        for line in filter(None, (line[4:].rstrip() for line in expected.splitlines())):
            if "..." not in line:
                assert line in done.stdout, f"labrhel {words} prints no\n{line}\nbut\n{done.stdout}"
    (config,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert (tmp_path / "NEWFILE1.yaml").read_text() == config
