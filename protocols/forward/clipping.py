"""Readings beyond the range of a converter: counted in every capture, said in words, and aimed away from.

A clipped sample is a wrong sample, and no spread of repeats shows it.  What clips in the forward pass belongs to the
range of the channel or to the drive; what clips in an answer to a nudge goes away with half of the nudge.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from labrhel.shots.capture import Capture
from labrhel.shots.operations import Protocol

ATTEMPTS, TOLERANCE = 3, 3.0
"""Nudges that are tried for an answer of the size that is aimed at, and the factor by which it may be missed."""

R = TypeVar("R")


def over_range(captures: Iterable[Capture]) -> Counter[str]:
    """By channel, how many samples hit the ends of its converter."""
    found: Counter[str] = Counter()
    for capture in captures:
        for item in capture.passes:
            found.update({name: trace.over_range for name, trace in item.traces.items() if trace.over_range})
    return found


def of_clipping(forward: Mapping[str, int], answers: Mapping[str, int]) -> Iterator[str]:
    """Warnings about what clipped in the forward passes, and in the echoes or answers after them."""
    for where, found, remedy in (
        ("the forward pass", forward, "raise the range of the channel, or lower the input"),
        ("the answer to the nudge", answers, "lower the response, or raise the range of the channel"),
    ):
        if found:
            named = ", ".join(f"{name} ({count} samples)" for name, count in sorted(found.items()))
            yield f"{where} goes beyond the range of channel {named}, so the gradient is wrong: {remedy}"


def aimed(
    fire: Callable[[float], Protocol[tuple[float, bool, R]]], eps: float, target: float
) -> Protocol[tuple[float, R]]:
    """Fire at `eps`, and again until the answer has the size `target`, and does not clip; the last eps and its result.

    `fire` answers with the response ratio, whether anything clipped, and its result.
    """
    for attempt in itertools.count(1):
        ratio, is_clipped, result = yield from fire(eps)
        is_near = 1 / TOLERANCE < ratio / target < TOLERANCE
        if attempt == ATTEMPTS or not ratio > 0 or (is_near and not is_clipped):
            return eps, result
        wanted = target / ratio
        eps *= min(0.5, wanted) if is_clipped else wanted
    raise AssertionError("unreachable: the last attempt returned")
