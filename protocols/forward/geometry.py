"""Which oscillator a port drives and a channel sees: from device lists to vectors over the oscillators, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ProgramError
from labrhel.rig.capabilities import Capabilities, Kind
from labrhel.shots.capture import Capture, PassCapture


class Geometry:
    """The rig's matrices, inverted where a rule needs it.

    Rules want positions and velocities of all oscillators and forces on any of them; what the rig's matrices do not
    reach is refused by name.  `partly`: rigs may show fewer positions than they have oscillators; of those that no
    channel shows the state is then zero.
    """

    def __init__(self, capabilities: Capabilities, *, partly: bool = False) -> None:
        self._capabilities = capabilities
        self._force_ports = capabilities.ports_of(Kind.FORCE)
        self._position_channels = capabilities.channels_of(Kind.POSITION)
        self._velocity_channels = capabilities.channels_of(Kind.VELOCITY)
        sees = capabilities.position_matrix.values
        is_whole = sees.shape[0] >= capabilities.size and np.linalg.matrix_rank(sees) == capabilities.size
        if not is_whole and not partly:
            raise ProgramError(
                f"rig {capabilities.rig} shows {len(self._position_channels)} positions of {capabilities.size} "
                "oscillators; this rule needs all of them"
            )
        self._sees = sees
        self._positions_from = np.linalg.pinv(sees)
        self.seen = np.eye(capabilities.size) if is_whole else self._positions_from @ sees
        fast = capabilities.velocity_matrix.values
        self._has_velocities = fast.shape[0] >= capabilities.size and np.linalg.matrix_rank(fast) == capabilities.size
        if not is_whole and fast.size:
            self._has_velocities = np.allclose(np.linalg.pinv(fast) @ fast, self.seen)
        self._velocities_from = np.linalg.pinv(fast) if self._has_velocities else fast
        self.is_whole = is_whole
        self._drives = capabilities.drive_matrix.values
        self._ports_from = np.linalg.pinv(self._drives)

    @property
    def noise(self) -> Array:
        """Rms error of a position (n,), from the noise and the converters that the channels declare."""
        return np.sqrt(self._positions_from**2 @ np.square(self._rms()))

    def information(self, least: float) -> Array:
        """Inverse covariance C^T R^-1 C (n, n) of one reading, of channels with at least that noise."""
        return (self._sees.T / np.maximum(self._rms(), least) ** 2) @ self._sees

    def _rms(self) -> list[float]:
        rms = []
        for name in self._position_channels:
            channel = self._capabilities.channel(name)
            rounding = 0.0 if channel.converter is None else channel.converter.lsb / np.sqrt(12.0)
            rms.append(float(np.hypot(channel.noise, rounding)))
        return rms

    @property
    def channels(self) -> tuple[str, ...]:
        """What to acquire to know the state."""
        return self._position_channels + (self._velocity_channels if self._has_velocities else ())

    def state(self, capture: PassCapture, step: float, repeat: int = 0) -> tuple[Array, Array]:
        """Positions and velocities at the kicks, (n, steps) each.

        Where the rig shows no velocities they are central differences of the positions, exact for the leapfrog
        except at the two ends (one-sided there, error of order step^2); their noise is that of a reading divided by
        sqrt(2)*step, 2.5/step at the ends.
        """
        q = self._positions_from @ capture.stack(self._position_channels, repeat)
        if self._has_velocities:
            return q, self._velocities_from @ capture.stack(self._velocity_channels, repeat)
        if q.shape[1] == 1:
            return q, np.zeros_like(q)
        return q, np.gradient(q, step, axis=1, edge_order=2 if q.shape[1] > 2 else 1)

    def shown(self, q: Array, v: Array) -> dict[str, Array]:
        """By channel of `channels`, what it shows of positions and velocities (n, steps)."""
        found = dict(zip(self._position_channels, self._sees @ q, strict=True))
        if self._has_velocities:
            fast = self._capabilities.velocity_matrix.values
            found |= zip(self._velocity_channels, fast @ v, strict=True)
        return found

    def on_oscillators(self, channels: Sequence[str], error: Array) -> Array:
        """Error on the read-out channels (channels, samples) as force on the oscillators (n, samples)."""
        rows = [self._position_channels.index(name) for name in channels]
        return self._sees[rows].T @ error

    def to_ports(self, forces: Array) -> dict[str, Array]:
        """Forces (n, steps) as port values; ports with nothing to play are left out.

        Raises ProgramError naming the oscillators that need a force no port can give.
        """
        needed = np.flatnonzero(forces.any(axis=1))
        if needed.size == 0:
            return {}
        values = self._ports_from @ forces
        missed = np.abs(self._drives @ values - forces).max(axis=1) > 1e-9 * np.abs(forces).max()
        if missed.any():
            unreached = ", ".join(str(index + 1) for index in np.flatnonzero(missed))
            raise ProgramError(
                f"no drive port of rig {self._capabilities.rig} reaches oscillator {unreached}; "
                "the nudge and the friction compensation need one on each read-out and each lossy oscillator"
            )
        return {name: row for name, row in zip(self._force_ports, values, strict=True) if row.any()}

    def reachable(self, forces: Array) -> Array:
        """The forces (n, steps) nearest to `forces` that the drive ports can give."""
        return self._drives @ (self._ports_from @ forces)

    def forces(self, capture: Capture) -> Array:
        """Forces (n, steps) that the drive ports gave in the last pass."""
        played = np.stack([capture.shot.achieved(name) for name in self._force_ports])
        return self._drives @ played


@lru_cache(maxsize=16)  # every gradient of a run asks, and its inverses are a tenth of what the host computes in one
def partly_seen(capabilities: Capabilities) -> Geometry:
    """The geometry of a rig that may show fewer positions than it has oscillators."""
    return Geometry(capabilities, partly=True)
