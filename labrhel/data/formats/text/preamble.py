"""What stands above a table: sample interval, sample rate, units and names, in the words of many makers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from labrhel.units import read_unit

_INTERVALS = frozenset(
    [
        "sample interval",
        "sampling interval",
        "increment",
        "delta_x",
        "delta x",
        "deltax",
        "tinc",
        "t inc",
        "xinc",
        "xincr",
        "x increment",
        "xincrement",
        "dt",
        "interval",
        "sample period",
        "sampling period",
        "sample time",
        "time interval",
        "horizontal interval",
        "delta t",
        "deltat",
        "time step",
        "timestep",
        "clock",
        "hresolution",
        "hor. interval",
        "tsample",
        "sampleinterval",
        "samplinginterval",
    ]
)
_RATES = frozenset(
    [
        "sample rate",
        "sampling rate",
        "samplerate",
        "samplingrate",
        "sampling frequency",
        "sample frequency",
        "samplefrequency",
        "fs",
        "srate",
        "sampling freq",
        "sample freq",
        "samples per second",
        "acquisition rate",
        "scan rate",
    ]
)
_UNITS = frozenset(
    [
        "vertical units",
        "vertical unit",
        "vunit",
        "y_unit_label",
        "units",
        "unit",
        "y units",
        "y unit",
        "yunit",
        "yunits",
        "channel units",
    ]
)
_TIME_UNITS = frozenset(
    [
        "horizontal units",
        "horizontal unit",
        "hunit",
        "x_unit_label",
        "x units",
        "x unit",
        "xunit",
        "xunits",
        "time unit",
        "time units",
    ]
)
_NAMES = frozenset(
    ["tracename", "trace name", "source", "channel", "channels", "channel name", "channel names", "signal"]
)
_OTHERS = frozenset(["start", "t0", "comment", "x0", "xorigin", "record length", "model number", "model", "segments"])
_SAMPLES = re.compile(r"(.*?)\s*(?:sa|s|samples?|sps)(?:\s*/\s*s(?:ec(?:ond)?)?)?$", re.IGNORECASE)
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s].*)?$", re.ASCII)
_PAIR = re.compile(r"([^=:]{1,60}?)\s*[=:]\s*(.*)", re.DOTALL)
_RATE_PREFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}

KEYS = _INTERVALS | _RATES | _UNITS | _TIME_UNITS | _NAMES | _OTHERS
"""Words that are keys of a preamble, and no names of columns."""


class Preamble:
    """Keys of a preamble, in small letters without their units, with the cells that follow them."""

    def __init__(self, rows: Iterable[Sequence[str]], decimal: str = ".") -> None:
        self._decimal = decimal
        self._said: dict[str, list[str]] = {}
        self._units: dict[str, str] = {}
        for row in rows:
            cells = [cell.strip().lstrip("#%").strip() for cell in row]
            for cell in cells:
                if match := _PAIR.fullmatch(cell):
                    self._say(match[1], [match[2]])
            if len(cells) > 1 and cells[0] and not _PAIR.fullmatch(cells[0]):
                self._say(cells[0], cells[1:])
            elif cells and (match := _PAIR.fullmatch(cells[0])):
                self._say(match[1], [match[2], *cells[1:]])

    def _say(self, key: str, values: Sequence[str]) -> None:
        word, _, unit = key.partition("(" if "(" in key else "[")
        word = " ".join(word.strip().lower().split())
        if word not in self._said or not any(self._said[word]):
            self._said[word], self._units[word] = list(values), unit.strip(" )]")

    @property
    def names(self) -> list[str]:
        """Names of the channels, if it has them."""
        return self._values(_NAMES)

    @property
    def time_unit(self) -> str:
        """The unit of the time axis, "" if it says none."""
        found = self._values(_TIME_UNITS)
        return found[0] if found and read_unit(found[0]) else ""

    def says_time(self, columns: int) -> bool:
        """Whether the first of so many columns without names is the time: there is a unit for each of the others."""
        return bool(self.time_unit) and len(self._values(_UNITS)) == columns - 1

    def units(self, channels: Sequence[str]) -> list[str]:
        """The unit of each of the channels, "" where it says none."""
        found = [unit.strip(" ()[]") for unit in self._values(_UNITS)]
        labels: Mapping[str, str] = dict(pair.split(":", 1) for pair in found if ":" in pair)
        if labels:
            if all(channel in labels for channel in channels):
                return [labels[channel] for channel in channels]
            found = list(labels.values())
        if len(found) == len(channels):
            return found
        return [found[0]] * len(channels) if len(set(found)) == 1 and found else [""] * len(channels)

    def interval(self) -> float | None:
        """Seconds from one sample to the next; None where it does not say, or says different things."""
        found: set[float] = set()
        for key in self._said:
            if key in _INTERVALS:
                found |= {
                    s
                    for v in self._values({key})
                    if (s := _seconds(self._plain(v), self._units[key] or self.time_unit))
                }
            elif key in _RATES:
                found |= {1 / r for v in self._values({key}) if (r := _per_second(self._plain(v), self._units[key]))}
        if not found or max(found) > 1.01 * min(found):
            return None
        return min(found)

    def _plain(self, value: str) -> str:
        return value.replace(",", ".") if self._decimal == "," else value

    def _values(self, keys: Iterable[str]) -> list[str]:
        for key in sorted(keys):
            if any(self._said.get(key, ())):
                return [value for value in self._said[key] if value]
        return []


def _seconds(words: str, unit: str) -> float | None:
    match = _QUANTITY.fullmatch(words.rpartition(":")[2].strip())
    if match is None:
        return None
    known = read_unit(match[2] or unit or "s") or read_unit((match[2] or unit).lower())
    if known is None or known.base != "s":
        return None
    return float(match[1]) * known.size or None


def _per_second(words: str, unit: str) -> float | None:
    match = _QUANTITY.fullmatch(words.rpartition(":")[2].strip())
    if match is None:
        return None
    word = (match[2] or unit or "Hz").strip()
    known = read_unit(word)
    if known is not None and known.base == "Hz":
        return float(match[1]) * known.size or None
    samples = _SAMPLES.fullmatch(word)
    if samples is None or samples[1] not in _RATE_PREFIX:
        return None
    return float(match[1]) * _RATE_PREFIX[samples[1]] or None
