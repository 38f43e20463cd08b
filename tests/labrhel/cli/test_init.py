"""`labrhel init` writes files that `labrhel run` and `labrhel validate` accept as they are, and overwrites none."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labrhel.testing.command_line import Shell, only_run
from labrhel.testing.waiting import PATIENCE
from simbackend.virtual_bench import virtual_bench


def scope(file: Path, unit: str = "mV", step: float = 2e-6, count: int = 800, *, time: bool = True) -> None:
    """A resonator of 20 kHz in units that an oscilloscope would write."""
    random = np.random.default_rng(2)
    h, k, c = step * 1e6 / 20, (2 * np.pi * 0.02) ** 2, 0.02
    drive = np.cumsum(random.standard_normal(count))
    drive = np.convolve(drive - np.linspace(drive[0], drive[-1], count), np.ones(9) / 9, "same") / 10
    q = v = 0.0
    rows = []
    for i, u in enumerate(drive):
        rows.append(f"{i * step * 1e6:.2f},{u:.6f},{q + 3.0:.6f}" if time else f"{u:.6f},{q + 3.0:.6f}")
        later = drive[min(i + 1, count - 1)]
        for part in range(20):
            v += h * (0.01 * (u + (later - u) * part / 20) - k * q - c * v)
            q += h * v
    first = f"Time (us),Drive (V),Out ({unit})" if time else "Drive (V),Out"
    file.write_text("\n".join([first, *rows]) + "\n")


def test_a_recording_becomes_a_trained_twin_in_two_commands(shell: Shell) -> None:
    scope(Path("scope.csv"))
    status, out, errors = shell("init", "scope.csv")
    assert status == 0, errors
    assert "written  scope.yaml\nnext     labrhel run scope.yaml" in out
    text = Path("scope.yaml").read_text()
    assert 'units: {time: us, position: "mV", input: "V"}' in text
    resonance = re.search(r"a resonance at ([\d.]+) kHz", text)
    assert resonance is not None
    assert float(resonance[1]) == pytest.approx(20, rel=0.05)
    status, out, errors = shell("run", "scope.yaml", "--set", "optimizer.steps=3")
    assert status == 0, errors
    nrmse = re.search(r"rest error .*, NRMSE ([\d.]+)", out)
    assert nrmse is not None
    assert float(nrmse[1]) < 0.1
    assert shell("replay")[0] == 0
    assert only_run(Path("runs")).manifest["target_unit"] == "mV"


def test_series_and_the_rate_are_named_where_the_file_does_not_say_them(shell: Shell) -> None:
    scope(Path("scope.csv"), time=False)
    status, _, errors = shell("init", "scope.csv")
    assert status == 2
    assert "does not say how many samples it has a second: give --rate" in errors
    assert not Path("scope.yaml").exists()
    assert shell("init", "scope.csv", "--rate", "500e3", "--to", "sub/a.yaml")[0] == 0
    text = Path("sub/a.yaml").read_text()
    assert 'file: "../scope.csv"' in text
    assert "rate: 500000" in text
    assert "does not say that of Out" in text
    assert shell("run", "sub/a.yaml", "--dry-run")[0] == 0
    status, _, errors = shell("init", "scope.csv", "--rate", "1e5", "--target", "Ot", "--to", "b.yaml")
    assert status == 2
    assert "there is no series 'Ot' of that length; did you mean 'Out'" in errors


def test_a_ring_down_is_begun_with_its_initial_state_and_an_unfinished_record_beside_its_gap(shell: Shell) -> None:
    t = np.arange(400) * 1e-3
    y = 1e-3 * np.exp(-20 * t) * np.cos(300 * t + 0.4)
    y[300] = np.nan
    np.savez("down.npz", y=y)
    assert shell("init", "down.npz", "--rate", "1000", "--input", "none")[0] == 0
    text = Path("down.yaml").read_text()
    assert "train: {start: 0, stop: 300}" in text
    assert "initial_momentum" in text
    status, _, errors = shell("run", "down.yaml", "--set", "optimizer.steps=2")
    assert status == 0, errors
    losses = only_run(Path("runs")).scalars()["loss"]
    assert losses[np.isfinite(losses)][0] < 0.05


@pytest.mark.parametrize(
    "words", [("--oscillators", "10"), ("--oscillators", "1"), ("--oscillators", "3", "--coupling", "all")]
)
def test_oscillators_with_a_teacher_come_from_nothing(words: tuple[str, ...], shell: Shell) -> None:
    status, out, errors = shell("init", *words)
    assert status == 0, errors
    assert "labrhel bench up oscillators.yaml" in out
    assert shell("run", "oscillators.yaml", "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a recording, or the VISA addresses of instruments; or give --oscillators N"),
        (("--oscillators", "0"), "--oscillators is 1 or more, not 0"),
        (("--oscillators", "3", "--coupling", "star"), "--coupling is one of none, chain, ring, all, not 'star'"),
        (("absent.csv",), "there is no data file absent.csv"),
        (("a.csv", "b.csv"), "name one recording"),
        (("TCPIP::127.0.0.1::1::SOCKET",), "does not answer"),
    ],
)
def test_what_cannot_be_begun_is_one_sentence(words: tuple[str, ...], said: str, shell: Shell) -> None:
    status, _, errors = shell("init", *words)
    assert status == 2
    assert said in errors
    assert list(Path().glob("*.yaml")) == []


def test_a_file_that_is_there_is_not_overwritten(shell: Shell) -> None:
    Path("oscillators.yaml").write_text("mine\n")
    status, _, errors = shell("init", "--oscillators", "2")
    assert status == 2
    assert "oscillators.yaml is there already; give another name with --to FILE" in errors
    assert Path("oscillators.yaml").read_text() == "mine\n"


def test_instruments_that_answer_become_a_station_file_that_validates_and_nothing_is_driven(shell: Shell) -> None:
    with virtual_bench("coupled_oscillators") as bench:
        places = [bench.addresses[name]["socket"] for name in ("scope1", "awg1", "bias", "awg2")]
        status, out, errors = shell("init", *places)
        assert status == 0, errors
        status, _, refused = shell("init", *places[:1], "--to", "b.yaml")
        assert status == 2
        assert "a rig needs a generator that plays waveforms, and none of these is one" in refused
        status, _, refused = shell("init", *places, "--oscillators", "9", "--to", "b.yaml")
        assert status == 2
        assert "4 outputs and 3 inputs beside the trigger, so 1 to 3 oscillators; not 9" in refused
        assert {bench.world.volts(f"awg{box}.ch1") for box in (1, 2)} == {0.0}
    assert "next     put it right, then labrhel validate station.yaml" in out
    text = Path("station.yaml").read_text()
    assert f'awg2: {{type: drivers.instruments.keysight_33600.Keysight33600, address: "{places[3]}"}}' in text
    assert "q3: {terminal: scope1.ch3, gain: 1.0, range: [-1 V, 1 V]}   # check" in text
    assert shell("validate", "station.yaml")[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_at_a_terminal_what_no_option_says_is_asked(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "labrhel", "init", "--to", "asked.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.write(ours, b"4\nchain\n")
        assert process.wait(PATIENCE) == 0
    os.close(theirs)
    assert "oscillators [6]:" in os.read(ours, 4096).decode()
    os.close(ours)
    text = (tmp_path / "asked.yaml").read_text()
    assert "oscillators: 4" in text
    assert "coupling: chain" in text


def test_numbers_of_which_no_resonance_can_be_made_are_one_sentence(shell: Shell) -> None:
    rows = "\n".join(f"{index * 1e300},{1e308 if index % 3 else 0.0},1e-320" for index in range(50))
    Path("huge.csv").write_text(f"t,u,y\n{rows}\n")
    status, _, errors = shell("init", "huge.csv")
    assert status == 2
    assert "no resonance can be guessed from samples every 1e+300 s with values up to 1e-320" in errors


def test_a_name_that_would_move_the_cursor_is_begun_with_and_not_printed(shell: Shell) -> None:
    rows = "\n".join(f"{index * 1e-3},{math.sin(0.3 * index)}" for index in range(60))
    Path("escape.csv").write_text(f"t,[b]y\x1b[31m\n{rows}\n")
    assert shell("init", "escape.csv")[0] == 0
    assert "\x1b" not in Path("escape.yaml").read_text()
    assert shell("run", "escape.yaml", "--dry-run")[0] == 0


def test_an_axis_of_time_that_goes_backwards_is_left_out_of_what_is_begun(shell: Shell) -> None:
    rows = "\n".join(f"{60 - index},{math.sin(0.3 * index)}" for index in range(60))
    Path("back.csv").write_text(f"t,y\n{rows}\n")
    status, out, _ = shell("inspect", "back.csv")
    assert status == 0 and "does not go on" in out and "time: none" in out
    assert shell("init", "back.csv", "--rate", "100")[0] == 0
    assert shell("run", "back.yaml", "--dry-run")[0] == 0
