"""Which mode a terminal drives and a channel shows: from real terminals to amplitudes of the modes, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ProgramError
from labrhel.model.rotating import Amplitudes, as_real
from labrhel.rig.capabilities import Capabilities, Kind
from labrhel.shots.capture import Capture, PassCapture
from labrhel.shots.program import Drive, Role
from labrhel.shots.waveform import Waveform


class Quadratures:
    """The matrices of a rig in the rotating frame, inverted where a rule needs it.

    A channel shows Re(M a), a port that plays x drives with D x.  Raises ProgramError where the channels do not tell
    all amplitudes.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self.channels = capabilities.places
        self._sees = capabilities.position_matrix.values
        self._ports = capabilities.ports_of(Kind.FORCE)
        self._drives = as_real(capabilities.drive_matrix.values)
        self._ports_from = np.linalg.pinv(self._drives)
        seen = as_real(self._sees.conj().T).T  # Re(M a) = (Re M, -Im M) (Re a, Im a)
        if np.linalg.matrix_rank(seen) < 2 * capabilities.size:
            raise ProgramError(
                f"rig {capabilities.rig} shows {len(self.channels)} quadratures of {capabilities.size} modes; "
                "this rule needs both of each: give every mode its two channels, or take rule: spsa"
            )
        self._from = np.linalg.pinv(seen)

    @property
    def noise(self) -> float:
        """Rms error of an amplitude, from the noise and the converters that the channels declare."""
        square = 0.0
        for row, name in zip(self._from.T, self.channels, strict=True):
            channel = self._capabilities.channel(name)
            rounding = 0.0 if channel.converter is None else channel.converter.lsb / np.sqrt(12.0)
            square += float(np.sum(row**2)) * (channel.noise**2 + rounding**2)
        return float(np.sqrt(square / (len(self._from) // 2)))

    def state(self, capture: PassCapture, step: float, repeat: int = 0) -> tuple[Amplitudes, Array]:
        """Amplitudes at the kicks (n, steps); the second of the pair, velocities of oscillators, is empty."""
        pairs = self._from @ capture.stack(self.channels, repeat)
        half = len(pairs) // 2
        return pairs[:half] + 1j * pairs[half:], np.empty((half, 0))

    def on_oscillators(self, channels: Sequence[str], error: Array) -> Amplitudes:
        """DL/da* (n, samples) of slopes by the channels that are read out (channels, samples)."""
        rows = [self.channels.index(name) for name in channels]
        return np.asarray(self._sees[rows].conj().T @ error / 2, complex)

    def played(self, fields: Amplitudes, step: float, role: Role) -> tuple[Drive, ...]:
        """Drives that give the fields f (n, steps); ports with nothing to play are left out.

        Raises ProgramError naming the modes that need a field no port can give.
        """
        wanted = as_real(fields)
        if not wanted.any():
            return ()
        values = self._ports_from @ wanted
        missed = np.abs(self._drives @ values - wanted).max(axis=1) > 1e-9 * np.abs(wanted).max()
        if missed.any():
            modes = sorted({index % len(fields) + 1 for index in np.flatnonzero(missed)})
            raise ProgramError(
                f"no drive port of rig {self._capabilities.rig} reaches mode {', '.join(map(str, modes))}; the nudge "
                "needs one on each mode that is read out, and the echo on each lossy one: give them ports, or say "
                "partial: true, which tells the error of lossy modes without"
            )
        return tuple(
            Drive(name, Waveform.of(row, step), role)
            for name, row in zip(self._ports, values, strict=True)
            if row.any()
        )

    def reachable(self, fields: Amplitudes) -> Amplitudes:
        """The fields (n, steps) nearest to `fields` that the ports can give."""
        pairs = self._drives @ (self._ports_from @ as_real(fields))
        return pairs[: len(fields)] + 1j * pairs[len(fields) :]

    def fields(self, capture: Capture) -> Amplitudes:
        """The fields (n, steps) that the drive ports gave in the last pass."""
        played = np.stack([capture.shot.achieved(name) for name in self._ports])
        return self._capabilities.drive_matrix.values @ played
