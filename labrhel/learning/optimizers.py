"""Optimizers as ask and tell, so that the training loop, not the optimizer, is in charge of the rig.

    x = optimizer.ask();  ... measure loss and gradient at x ...;  optimizer.tell(loss, gradient)

`state()` is plain data; `restore(state)` on a fresh optimizer continues to the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError


class Optimizer(Protocol):
    """What the training loop needs of an optimizer."""

    @property
    def done(self) -> bool:
        """True once the optimizer has converged and has nothing more to ask."""
        ...

    def ask(self) -> Array:
        """The point (size,) at which it wants loss and gradient."""
        ...

    def tell(self, loss: float, gradient: Array) -> None:
        """Loss and gradient at the point asked for."""
        ...

    def best(self) -> Array:
        """The point to use when training ends."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as numbers and arrays."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state` returned."""
        ...


class _FirstOrder:
    """What momentum and Adam share: a current point inside bounds and buffers that are the state."""

    done = False

    def __init__(self, start: Array, bounds: tuple[Array, Array], rate: float) -> None:
        if not rate > 0:
            raise ConfigurationError(f"the learning rate must be positive, not {rate}")
        self._low, self._high = bounds
        self._rate = rate
        self._buffers: dict[str, Array] = {"x": np.clip(start, *bounds)}
        self._told = 0

    def ask(self) -> Array:
        return self._buffers["x"].copy()

    def best(self) -> Array:
        return self.ask()

    def _move(self, step: Array) -> None:
        self._buffers["x"] = np.clip(self._buffers["x"] - step, self._low, self._high)

    def state(self) -> dict[str, Any]:
        return {"told": self._told, **{name: value.copy() for name, value in self._buffers.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._told = int(state["told"])
        self._buffers = {name: np.array(state[name], float) for name in self._buffers}


class Momentum(_FirstOrder):
    """Heavy ball: m <- beta m + g; x <- x - rate m.  Polyak (1964); beta = 0 is gradient descent."""

    def __init__(self, start: Array, bounds: tuple[Array, Array], *, rate: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(start, bounds, rate)
        self._beta = momentum
        self._buffers["m"] = np.zeros_like(start)

    def tell(self, loss: float, gradient: Array) -> None:
        """Take one step."""
        del loss
        self._told += 1
        self._buffers["m"] = self._beta * self._buffers["m"] + gradient
        self._move(self._rate * self._buffers["m"])


class Adam(_FirstOrder):
    """Adam (Kingma & Ba, 2015) with bias correction."""

    def __init__(
        self,
        start: Array,
        bounds: tuple[Array, Array],
        *,
        rate: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        floor: float = 1e-12,
    ) -> None:
        super().__init__(start, bounds, rate)
        self._beta1, self._beta2, self._floor = beta1, beta2, floor
        self._buffers["m"] = np.zeros_like(start)
        self._buffers["v"] = np.zeros_like(start)

    def tell(self, loss: float, gradient: Array) -> None:
        """Take one step."""
        del loss
        self._told += 1
        buffers = self._buffers
        buffers["m"] = self._beta1 * buffers["m"] + (1 - self._beta1) * gradient
        buffers["v"] = self._beta2 * buffers["v"] + (1 - self._beta2) * gradient**2
        mean = buffers["m"] / (1 - self._beta1**self._told)
        square = buffers["v"] / (1 - self._beta2**self._told)
        self._move(self._rate * mean / (np.sqrt(square) + self._floor))


class _EvaluationNeededError(Exception):
    def __init__(self, point: Array) -> None:
        self.point = point


class LBFGS:
    """L-BFGS-B of scipy, for gradients that are exact or nearly so; one step is one gradient.

    scipy calls its objective; a rig must not be called from inside a library.  So the optimizer is a pure function
    of the evaluations it has been told: `ask` runs scipy from the start, answers from that history, and stops at
    the first point that is not in it.  The history is the whole state, and resuming is exact.  Replaying costs
    about 40 us an evaluation, far below any shot.
    """

    def __init__(
        self, start: Array, bounds: tuple[Array, Array], *, memory: int = 20, tolerance: float = 1e-12
    ) -> None:
        self._start, self._bounds = np.clip(start, *bounds), bounds
        self._memory, self._tolerance = memory, tolerance
        self._points: list[Array] = []
        self._losses: list[float] = []
        self._gradients: list[Array] = []
        self._next: Array | None = None
        self._converged = False

    @property
    def done(self) -> bool:
        """True when scipy's own test has stopped it."""
        if self._next is None and not self._converged:
            self._advance()
        return self._converged

    def ask(self) -> Array:
        """The next point of the search."""
        if self.done or self._next is None:
            return self.best()
        return self._next.copy()

    def tell(self, loss: float, gradient: Array) -> None:
        """Append an evaluation at the point last asked for."""
        self._points.append(self.ask())
        self._losses.append(float(loss))
        self._gradients.append(np.array(gradient, float))
        self._next = None

    def best(self) -> Array:
        """The point with the lowest loss so far."""
        return self._points[int(np.argmin(self._losses))].copy() if self._points else self._start.copy()

    def _advance(self) -> None:
        from scipy.optimize import minimize

        calls = 0

        def objective(x: Array) -> tuple[float, Array]:
            nonlocal calls
            if calls == len(self._points):
                raise _EvaluationNeededError(x.copy())
            calls += 1
            return self._losses[calls - 1], self._gradients[calls - 1]

        options = {"maxcor": self._memory, "ftol": self._tolerance, "gtol": 0.0, "maxiter": 10**6, "maxfun": 10**6}
        try:
            minimize(
                objective,
                self._start,
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(*self._bounds, strict=True)),
                options=options,
            )
        except _EvaluationNeededError as need:
            self._next = need.point
        else:
            self._converged = True

    def state(self) -> dict[str, Any]:
        """The history of evaluations."""
        return {
            "losses": np.array(self._losses),
            "points": np.array(self._points).reshape(len(self._points), -1),
            "gradients": np.array(self._gradients).reshape(len(self._gradients), -1),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a history."""
        self._losses = [float(value) for value in state["losses"]]
        self._points = [np.array(row, float) for row in state["points"]]
        self._gradients = [np.array(row, float) for row in state["gradients"]]
        self._next, self._converged = None, False


OPTIMIZERS = {"momentum": Momentum, "adam": Adam, "lbfgs": LBFGS}
