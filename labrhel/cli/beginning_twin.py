"""`labrhel init RECORDING`: a configuration of one oscillator, with the first guesses that the spectrum gives."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labrhel.arrays import Array
from labrhel.cli.looking import NO_AXIS, Chosen, printable
from labrhel.data.formats.interface import Entry
from labrhel.data.recording import Recording
from labrhel.data.resonator import Resonator, resonator
from labrhel.errors import ConfigurationError
from labrhel.units import PREFIXES, prefixed, read_unit, with_prefix

_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_MOST = 5000  # samples that are looked at; a quarter of them to test
_LEAST = 16
_PHASE = 0.06  # rad from kick to kick: the frequency is then good to 2e-4
_RUNG_DOWN = 4.0  # e-folds of the amplitude, of which 2 % are left


class _Signal(NamedTuple):
    """Samples in `unit`, in which they are of order one; "1" for a unit that the file does not say."""

    name: str
    values: Array
    unit: str


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From `start` to before `stop` every sample is a number; trained on up to `cut`."""

    start: int
    cut: int
    stop: int
    output: _Signal
    drive: _Signal | None


def twin_of(recording: Recording, found: Chosen, name: str, interval: float, rate: float | None) -> str:
    """The configuration for samples every `interval` [s]; `rate` [1/s] is said in place of the file's own time."""
    piece = _stretch(recording, found)
    output, drive = piece.output.values, None if piece.drive is None else piece.drive.values
    seconds = _guessed(name, output, interval, drive)
    time = min(_TIMES, key=lambda unit: abs(np.log(seconds.frequency * _TIMES[unit])))
    size = _TIMES[time]
    guess = Resonator(seconds.stiffness * size**2, seconds.friction * size, seconds.gain * size**2)
    spacing = interval / size
    pushed = 0.0 if drive is None else float(drive.mean()) * guess.gain / guess.stiffness
    offset, spread = float(output.mean()) - pushed, float(output.std()) or 1.0
    played = "1" if piece.drive is None else piece.drive.unit
    driven = "" if piece.drive is None else f"driven by {printable(piece.drive.name)} and "
    return "\n".join([
        f"# A twin of {printable(name)}, begun by labrhel init: one damped oscillator, {driven}seen at "
        f"{printable(piece.output.name)}.",
        f"# {found.words}; docs/configuration.md has every key.",
        "",
        "model:",
        "  oscillators: 1           # for more resonances more of them, with coupling: chain",
        f"  units: {{time: {time}, position: {_quoted(piece.output.unit)}, input: {_quoted(played)}}}{_unsaid(piece)}",
        "  parameters:              # first guesses, from the spectrum of the recording",
        f"    stiffness: {{value: {guess.stiffness:.3g}, train: true, transform: log}}   # 1/{time}^2: a resonance at "
        f"{with_prefix(seconds.frequency / (2 * np.pi), 'Hz')}",
        f"    friction: {{value: {guess.friction:.3g}, train: true, scale: {guess.friction / 3:.1g}}}   # 1/{time}",
        *(f"    {line}" for line in _beginning(piece, guess, offset, spacing)),
        "    # cubic: {value: 0.0, train: true, scale: 0.1}   # a spring that hardens with the amplitude",
        f"  readout: {{channels: [q1], offset: {{value: {offset:.3g}, train: true, scale: {spread:.1g}}}}}",
        "",
        "protocol: {rule: rhel, echo: driven, record: all}",
        "optimizer: {kind: lbfgs, steps: 20}",
        "",
        *_data(found, name, piece, rate),
        f"  substeps: {max(1, int(np.ceil(np.sqrt(guess.stiffness) * spacing / _PHASE)))}",
        f"  skip: {_skipped(piece, guess, spacing)}   # samples that do not count, while what was before rings down",
        "",
    ])  # fmt: skip


def _guessed(name: str, output: Array, interval: float, drive: Array | None) -> Resonator:
    """The resonator of the samples; ConfigurationError where numbers are too large or too small for one."""
    with np.errstate(all="ignore"), suppress(np.linalg.LinAlgError, ValueError):
        found = resonator(output, interval, drive)
        if (
            np.all(np.isfinite([found.stiffness, found.friction, found.gain]))
            and min(found.stiffness, found.friction) > 0
        ):
            return found
    raise ConfigurationError(
        f"{name}: no resonance can be guessed from samples every {interval:g} s with values up to "
        f"{np.abs(output).max():.3g}; are its units, and its times, what they should be?"
    )


def _beginning(piece: _Stretch, guess: Resonator, offset: float, spacing: float) -> list[str]:
    """What sets it in motion: the input, or the state it rings down from."""
    if piece.drive is not None:
        return [f"input: {{value: {guess.gain:.3g}, train: true, scale: {abs(guess.gain) or 1.0:.1g}}}"]
    values, spread = piece.output.values, float(piece.output.values.std()) or 1.0
    start = {"initial_position": values[0] - offset, "initial_momentum": (values[1] - values[0]) / spacing}
    return [f"{name}: {{value: {value:.3g}, train: true, scale: {spread:.1g}}}" for name, value in start.items()]


def _unsaid(piece: _Stretch) -> str:
    signals = [signal for signal in (piece.output, piece.drive) if signal is not None and signal.unit == "1"]
    names = " and ".join(printable(signal.name) for signal in signals)
    return f"   # the file does not say that of {names}: write V, mV, ..." if signals else ""


def _data(found: Chosen, name: str, piece: _Stretch, rate: float | None) -> list[str]:
    lines = [line for line in found.section(name, piece.cut, piece.stop, piece.start) if "# units:" not in line]
    if rate is not None:
        said = f"  rate: {rate:.12g}" + (f"\n{NO_AXIS}" if NO_AXIS in found.timing else "")
        lines = [said if line == found.timing else line for line in lines]
    if piece.drive is None:  # a test would have to know the state that it begins with
        lines = [line for line in lines if not line.startswith("  test:")]
    return lines


def _skipped(piece: _Stretch, guess: Resonator, spacing: float) -> int:
    if piece.drive is None:
        return 0
    wanted = int(np.ceil(2 * _RUNG_DOWN / guess.friction / spacing))
    return min(wanted, (piece.cut - piece.start) // 4, (piece.stop - piece.cut) // 2)


def _stretch(recording: Recording, found: Chosen) -> _Stretch:
    """The longest stretch of numbers among the first samples; ConfigurationError if it is too short."""
    entries = [entry for entry in (found.target, found.input) if entry is not None]
    series = [recording.series(found.name_of(entry)) for entry in entries]
    read = [np.ravel(np.asarray(one, float)) for one in recording.read(series, 0, min(found.count, 2 * _MOST))]
    start, stop = _longest(np.all([np.isfinite(one) for one in read], axis=0))
    stop = min(stop, start + _MOST)
    if stop - start < _LEAST:
        raise ConfigurationError(f"{recording.file} holds {stop - start} samples in a row that are numbers: too few")
    cut = stop if found.input is None else start + 3 * (stop - start) // 4
    output, *others = (_signal(entry, one[start:stop]) for entry, one in zip(entries, read, strict=True))
    return _Stretch(start, cut, stop, output, others[0] if others else None)


def _longest(sound: Array) -> tuple[int, int]:
    """The longest stretch of true values, from and to before."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sound, [False]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    at = int(np.argmax(stops - starts))
    return int(starts[at]), int(stops[at])


def _signal(entry: Entry, values: Array) -> _Signal:
    known, largest = read_unit(entry.unit), float(np.abs(values).max())
    if known is None or not largest:
        return _Signal(entry.name, values, "1")
    sizes = (PREFIXES[prefix] for prefix in ("n", "u", "m", "", "k"))
    size = min(sizes, key=lambda size: abs(np.log10(largest * known.size / size)))
    return _Signal(entry.name, values * known.size / size, prefixed(size, known.base))


def _quoted(unit: str) -> str:
    return f'"{unit}"'
