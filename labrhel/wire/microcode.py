"""One step of the integer leapfrog as a list of operations, which a board carries out one a clock.

    operation      computes                                            and then
    DRIFT  x       r = odd(c p_x, F)                                   q_t <- q_t + r
    SQUARE x       r = near(q_x q_x, f)                                s_t <- r
    BEND   x       r = near(c s_x, f)      in the coefficients' word   s_t <- r
    TERM   x       r = near((c + s_x) q_x, F)                          push_t <- p_t + nudge_t - r
    LOOK   x       r = tanh(q_x), by the board's table                 s_t <- r
    BOUND  x       r = near(c s_x, F)                                  push_t <- push_t - r
    PORT   x       r = near(c u_x, F)                                  push_t <- push_t +- r
    PULL   x, y    r = near(c (q_x - q_y), F)                          push_t <- push_t +- r
    SETTLE         -                                                   p_t <- push_t

c is the operation's own coefficient; rounding and words are those of `simbackend.fixed_point.reference`.  A result is
there for the operation LATENCY places later, so every phase of a step is padded to that length.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

LATENCY = 5
"""Operations from one that writes a word to the first that may read it."""


class Code(enum.IntEnum):
    """What an operation does; IDLE fills up a phase."""

    IDLE = 0
    DRIFT = 1
    SQUARE = 2
    BEND = 3
    TERM = 4
    PORT = 5
    PULL = 6
    SETTLE = 7
    LOOK = 8
    BOUND = 9


@dataclass(frozen=True, slots=True)
class Operation:
    """A word of Region.CONTROL, and its word of Region.COEFFICIENTS.

    `negate`: subtract r; `quiet`: do not count its overflow, which another operation has counted; `capture`: keep
    position and momentum of `target` as those at the kick.
    """

    code: Code = Code.IDLE
    target: int = 0
    x: int = 0
    y: int = 0
    coefficient: int = 0
    negate: bool = False
    quiet: bool = False
    capture: bool = False

    @property
    def word(self) -> int:
        """Bits 0-3 code, 4 negate, 5 quiet, 6 capture, 8-15 x, 16-23 y, 24-31 target."""
        flags = self.negate << 4 | self.quiet << 5 | self.capture << 6
        return self.code | flags | self.x << 8 | self.y << 16 | self.target << 24


def leapfrog(
    drift: Sequence[int],
    stiffness: Sequence[int],
    cubic: Sequence[int],
    edges: Sequence[Sequence[int]],
    coupling: Sequence[int],
    ports: Sequence[Sequence[int]],
    saturation: Sequence[int] = (),
) -> list[Operation]:
    """The operations of one step for coefficient codes, `ports` [oscillator][port], `edges` pairs of oscillators.

    `saturation`: of the forces by the table of tanh, one for each oscillator, or none.  Their number and order depend
    on the shape of the network alone.
    """
    springs = [(i, j, k) for (i, j), k in zip(edges, coupling, strict=True)]
    moved = [Operation(Code.DRIFT, i, i, coefficient=a) for i, a in enumerate(drift)]
    bounded = [
        [Operation(Code.LOOK, i, i) for i in range(len(saturation))],
        [Operation(Code.BOUND, i, i, coefficient=s) for i, s in enumerate(saturation)],
    ]
    phases = [
        [Operation(Code.DRIFT, i, i, coefficient=a, capture=True) for i, a in enumerate(drift)],
        [Operation(Code.SQUARE, i, i) for i in range(len(drift))],
        [Operation(Code.BEND, i, i, coefficient=b) for i, b in enumerate(cubic)],
        [Operation(Code.TERM, i, i, coefficient=k) for i, k in enumerate(stiffness)],
        *(bounded if len(saturation) else []),
        [Operation(Code.PORT, i, x, coefficient=w) for i, row in enumerate(ports) for x, w in enumerate(row)]
        + [Operation(Code.PULL, i, j, i, k) for i, j, k in springs]
        + [Operation(Code.PULL, j, j, i, k, negate=True, quiet=True) for i, j, k in springs],
        [Operation(Code.SETTLE, i) for i in range(len(drift))],
        moved,
    ]
    return [item for phase in phases for item in phase + [Operation()] * (LATENCY - len(phase))]
