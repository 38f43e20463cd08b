"""The integer leapfrog in plain Python integers: the definition, bit for bit, of what a board must compute.

With words of `word` bits, wrap(.) keeping the low bits (two's complement), one step is

    drift:  q <- wrap(q + odd(a_i p, F))                                      a_i = d/(2 m_i)
    kick:   s_i = near(q_i q_i, f)                                            q^2, in the state's format
            h_i = k_i + near(b_i s_i, f)                                      d (k + b q^2), in the coefficients' format
            p_i <- wrap(p_i - near(h_i q_i, F) + sum_j +-near(K_ij (q_j - q_i), F) + sum_port near(w_i u, F) + n_i)
                   - near(s_i tanh(q_i), F)                           tanh by the table of `labrhel.wire.tanh_table`
    drift:  as before, with the new p

u is the input of a port, n_i the nudge, a kick that is added as it is; f and F are the fractions of the state's and the
coefficients' formats.  Every near() and odd() is itself wrapped to
the word of its format; the difference q_j - q_i keeps its word + 1 bits.  Two roundings:

    near(x, s) = (x + 2^(s-1)) >> s       arithmetic shift: round half up, what costs a board nothing
    odd(x, s)  = sign(x) ((|x| + 2^(s-1)) >> s)     round half away from zero: odd(-x) = -odd(x)

Reversible by p -> wrap(-p): the drift after the flip undoes the drift before it, because odd() is odd, also after
wrapping; the kick adds the same word to p and to -p', because q_h is the same; so it may round in any fixed way.  The
one exception would be the excluded code -2^(word-1), which the flip leaves as it is; it does not drift.

Each word that did not fit counts as an overflow.  Source: Levesque & Verlet, J. Stat. Phys. 72, 519 (1993), for
integer leapfrogs that retrace bit for bit; the odd drift replaces their position-only form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labrhel.wire.fixed_point import Format
from labrhel.wire.tanh_table import points, reach_of, shift_of


def near(x: int, shift: int) -> int:
    """Divide x by 2^shift and round half up."""
    return (x + ((1 << shift) >> 1)) >> shift


def odd(x: int, shift: int) -> int:
    """Divide x by 2^shift and round half away from zero: an odd function."""
    return near(x, shift) if x >= 0 else -near(-x, shift)


@dataclass(slots=True)
class Register:
    """Wraps integers into the words of a format and counts those that did not fit."""

    format: Format
    overflows: int = 0

    def wrap(self, x: int) -> int:
        """The low bits of x as a two's complement number."""
        half = 1 << (self.format.word - 1)
        wrapped = (x + half) % (2 * half) - half
        self.overflows += abs(x) >= half  # the excluded code counts as well
        return wrapped


def run_reference(
    state: Format,
    coefficient: Format,
    drift: Sequence[int],
    stiffness: Sequence[int],
    cubic: Sequence[int],
    edges: Sequence[tuple[int, int]],
    coupling: Sequence[int],
    ports: Sequence[Sequence[int]],
    drive: Sequence[Sequence[int]],
    kicks: Sequence[Sequence[int]],
    q: list[int],
    p: list[int],
    saturation: Sequence[int] = (),
    table: int = 0,
) -> tuple[list[list[int]], int]:
    """Run one step for each entry of `drive` [step][port] and `kicks` [step][oscillator]; `q`, `p` change in place.

    Coefficient codes: drift, stiffness, cubic and saturation (or none) per oscillator, coupling per edge, ports
    [oscillator][port]; `table`: intervals of the table of tanh.  Returns the positions at the kicks [step][oscillator]
    and the number of overflows.
    """
    word, factor = Register(state), Register(coefficient)
    f, F = state.fraction, coefficient.fraction
    excluded = -(1 << (state.word - 1))
    at_kicks = []
    tanh = points(state, table).tolist() if table else []

    def looked_up(position: int) -> int:
        shift, reach = shift_of(state, table), reach_of(state)
        cut = max(-reach, min(position, reach - 1))
        place, rest = (cut >> shift) + table // 2, cut % (1 << shift)
        return word.wrap(near((tanh[place + 1] - tanh[place]) * rest + (tanh[place] << shift), shift))

    def half_drift() -> None:
        for i, momentum in enumerate(p):
            if momentum != excluded:
                q[i] = word.wrap(q[i] + word.wrap(odd(drift[i] * momentum, F)))

    for samples, nudges in zip(drive, kicks, strict=True):
        half_drift()
        at_kicks.append(list(q))
        push = [momentum + nudge for momentum, nudge in zip(p, nudges, strict=True)]
        for i, position in enumerate(q):
            square = word.wrap(near(position * position, f))
            slope = factor.wrap(stiffness[i] + factor.wrap(near(cubic[i] * square, f)))
            push[i] -= word.wrap(near(slope * position, F))
            if len(saturation):
                push[i] -= word.wrap(near(saturation[i] * looked_up(position), F))
            for weight, sample in zip(ports[i], samples, strict=True):
                push[i] += word.wrap(near(weight * sample, F))
        for (i, j), spring in zip(edges, coupling, strict=True):
            pull = word.wrap(near(spring * (q[j] - q[i]), F))
            push[i] += pull
            push[j] -= pull
        p[:] = [word.wrap(value) for value in push]
        half_drift()
    return at_kicks, word.overflows + factor.overflows
