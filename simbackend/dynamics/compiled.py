"""The oscillator network by its compiled kernels, on as many threads as pay, with sums on board."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import ClassVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.shots.compiled import CompiledPass
from simbackend.dynamics.propagator import Motion, Propagator, Push
from simbackend.kernels import network as kernels
from simbackend.models.oscillator_network import POWERS, OscillatorNetwork
from simbackend.models.simulable import Simulable

_WORTH_A_THREAD = 200_000  # oscillator-steps; below it starting a thread costs more than it saves


def runs_compiled(model: Model) -> bool:
    """Whether the kernels know all forces of a model."""
    return isinstance(model, OscillatorNetwork) and model.is_polynomial


class CompiledNetwork(Propagator):
    """A `simbackend.dynamics.propagator.Propagator` of oscillator networks alone."""

    accumulates: ClassVar[bool] = True

    def __init__(
        self, model: Simulable, theta: Arrays, knobs: Arrays, drive_matrix: Array, one_sided: Array, threads: int
    ) -> None:
        assert isinstance(model, OscillatorNetwork)
        own = model.one_way(theta)
        if own.size:
            one_sided = one_sided - own if one_sided.size else -own
        super().__init__(model, theta, knobs, drive_matrix, one_sided, threads)
        self._inputs, self._edges, self._knobs, self._threads = len(model.inputs), model.edges, knobs, threads
        self._powers = np.array([model.value(name, theta) for name in POWERS])
        self._springs = np.array(model.value("coupling", theta))
        self._friction_kind = kernels.friction_kind(self.friction)

    def run(
        self, q: Array, p: Array, push: Push, item: CompiledPass, step: float, every: int, wants: tuple[bool, bool]
    ) -> Motion:
        """See the base class; the sums are those of the motion itself."""
        batch, n = q.shape
        drive, weights = push.drive, np.ascontiguousarray(self.ports_to_force[:, push.columns])
        if push.shaking is not None:
            drive, weights = np.concatenate([drive, push.shaking], axis=1), np.hstack([weights, np.eye(n)])
        kept = -(-item.steps // every)
        trace_q = np.empty((batch, n, kept if wants[0] else 0))
        trace_v = np.empty((batch, n, kept if wants[1] else 0))
        summed = bool(item.acquire.observables)
        sums = (
            np.zeros((batch, 4, n if summed else 0)),
            np.zeros((batch, len(self._springs))),
            np.zeros((batch, n)),
            np.zeros((batch, n, drive.shape[1])),
            np.zeros((batch, n)),
        )
        kick = self.kick(step)

        def run_rows(rows: slice) -> None:
            kernels.run_passes(
                q[rows], p[rows], drive[rows], weights, self.bias, self.inverse_mass, self._powers, self._edges,
                self._springs, self.one_sided, kick.keep, kick.push, self._friction_kind, step, every, trace_q[rows],
                trace_v[rows], *(total[rows] for total in sums),
            )  # fmt: skip

        self._spread(run_rows, batch, batch * n * item.steps)
        if not summed:
            return Motion(trace_q, trace_v, [{}] * batch)
        columns = list(push.columns)
        observables = [self._observables(item, step, columns, [total[row] for total in sums]) for row in range(batch)]
        return Motion(trace_q, trace_v, observables)

    def _spread(self, run: Callable[[slice], None], batch: int, work: int) -> None:
        workers = min(self._threads, batch, max(1, work // _WORTH_A_THREAD))
        if workers == 1:
            run(slice(0, batch))
            return
        bounds = np.linspace(0, batch, workers + 1).astype(int)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, [slice(low, high) for low, high in pairwise(bounds)]))

    def _observables(self, item: CompiledPass, step: float, columns: list[int], sums: list[Array]) -> dict[str, Array]:
        by_power, by_edge, p2, qw, q = sums
        values: dict[str, Array] = {}
        for name in item.acquire.observables:
            if name in POWERS:
                values[name] = step * by_power[POWERS[name] - 1] / (POWERS[name] + 1)
            elif name == "coupling":
                values[name] = step * by_edge / 2
            elif name == "mass":
                values[name] = -step * p2 / (2 * self.mass**2)
            elif name == "input_offset":
                values[name] = -step * self._knobs["input"].T @ q
            else:
                ports = range(self._inputs)
                products = [qw[:, columns.index(port)] if port in columns else np.zeros(len(q)) for port in ports]
                values[name] = -step * (np.stack(products, axis=1) + q[:, None] * self._knobs["input_offset"])
        return {name: value[None] for name, value in values.items()}
