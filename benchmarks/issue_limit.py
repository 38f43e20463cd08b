"""How fast the nonlinear echoes could be if nothing but the number of their instructions counted.

The limit is the time of as many independent fused multiply-adds on the registers of this processor, on all cores; where
those have 32 bytes, of twice as many as on 64.

A study of the algorithm counts 88 vector instructions of 64 bytes for 16 unit-steps in float32 (forward 25, two echoes
38, gradients 18, shared 7) and 127 for 8 in float64.  14 of each forward or echo step are its tanh, about what the
rational tanh takes that float32 kernels use now (13 and a share of a division); the additions that let float32 retrace
are not counted.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.hru_task import BATCH, UNITS
from benchmarks.rounds import Contender
from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store

INSTRUCTIONS = {"float32": 88 / 16, "float64": 127 / 8}  # for one step of a unit
REGISTERS = 8  # four chains of two: enough to hide the latency of a multiply-add, and no more than there are
PIECES = 4  # for each core, so that a core held up by another process leaves its share to the others


@compiled
def _multiply_adds(table, rounds):
    a, b, c, d = load(table, 0, 0, 2), load(table, 1, 0, 2), load(table, 2, 0, 2), load(table, 3, 0, 2)
    x, y = load(table, 4, 0, 2), load(table, 5, 0, 2)
    for _ in range(rounds):
        a, b, c, d = a * x + y, b * x + y, c * x + y, d * x + y
    store(table, 0, 0, (a + b) + (c + d))


def issue_limit(kind: str, steps: int) -> Contender:
    """As many multiply-adds as the echoes of the whole batch have vector instructions."""
    cores = len(os.sched_getaffinity(0))
    pieces = PIECES * cores
    instructions = INSTRUCTIONS[kind] * 64 / REGISTER_BYTES * UNITS * BATCH * steps
    rounds = round(instructions / REGISTERS / pieces)
    tables = np.full((pieces, 6, 256), 0.5, kind)

    def run() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(_multiply_adds, tables, [rounds] * pieces))

    return Contender(run, steps)
