"""Optimizers as ask and tell, so that the training loop, not the optimizer, is in charge of the rig.

    x = optimizer.ask();  ... measure loss and gradient at x ...;  optimizer.tell(loss, gradient)

Where the motion diverges the loss is no number: an optimizer is told an infinite one, and backs off.
`state()` is plain data; `restore(state)` on a fresh optimizer continues to the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError

RUNAWAY = 1e4
"""Times the lowest loss, or that of a read-out stuck at its mean (1): a loss beyond it is that of a diverging trial."""

_MOST = 10**6
"""Steps and evaluations of L-BFGS: more than any run takes, since the run says when it is over."""

RESOLVED = 1e-6
"""Of the loss: a promise below it is within what rounding and the bias of a nudge leave of a gradient."""


class Optimizer(Protocol):
    """What the training loop needs of an optimizer."""

    @property
    def done(self) -> bool:
        """True once the optimizer has nothing more to ask; `converged` and `why` say how it ended."""
        ...

    @property
    def converged(self) -> bool:
        """Whether it is done because the loss will not fall any further, as far as its gradients tell."""
        ...

    @property
    def why(self) -> str:
        """Why it is done, in words; empty while it is not."""
        ...

    def ask(self) -> Array:
        """The point (size,) at which it wants loss and gradient."""
        ...

    def tell(self, loss: float, gradient: Array) -> None:
        """Loss and gradient at the point asked for; an infinite loss, whatever the gradient, where it diverges."""
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
    """What momentum and Adam share: a current point inside bounds and buffers that are the state.

    A loss that is infinite, or so large that nothing can be learned there, is no step: back half way to the last good
    point, without momentum and at half the rate, since what has led there once leads there again.
    """

    done = converged = False
    why = ""

    def __init__(self, start: Array, bounds: tuple[Array, Array], rate: float) -> None:
        if not rate > 0:
            raise ConfigurationError(f"the learning rate must be positive, not {rate}")
        self._low, self._high = bounds
        self._rate, self._lowest = rate, np.inf
        self._buffers: dict[str, Array] = {"x": np.clip(start, *bounds)}
        self._good = self._buffers["x"].copy()
        self._told = 0

    def ask(self) -> Array:
        return self._buffers["x"].copy()

    def best(self) -> Array:
        return self._good.copy() if self._is_astray else self.ask()

    def tell(self, loss: float, gradient: Array) -> None:
        """Take one step, or one back."""
        if not np.isfinite(loss) or loss > RUNAWAY * max(1.0, self._lowest):
            self._buffers["x"] = (self._good + self._buffers["x"]) / 2
            self._buffers["m"] = np.zeros_like(self._good)
            self._rate /= 2
            self._is_astray = True
            return
        self._lowest, self._is_astray = min(self._lowest, loss), False
        self._good = self._buffers["x"].copy()
        self._told += 1
        self._buffers["x"] = np.clip(self._good - self._step(gradient), self._low, self._high)

    _is_astray = False

    def _step(self, gradient: Array) -> Array:
        """The step to take; updates the buffers."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        buffers = {name: value.copy() for name, value in self._buffers.items()}
        kept = {"rate": self._rate, "lowest": self._lowest, "good": self._good.copy(), "astray": self._is_astray}
        return {"told": self._told, **kept, **buffers}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._told = int(state["told"])
        self._buffers = {name: np.array(state[name], float) for name in self._buffers}
        if "rate" in state:  # records from before an optimizer could back off have none
            self._rate, self._lowest = float(state["rate"]), float(state["lowest"])
            self._good, self._is_astray = np.array(state["good"], float), bool(state["astray"])
        else:
            self._good = self.ask()


class Momentum(_FirstOrder):
    """Heavy ball: m <- beta m + g; x <- x - rate m.  Polyak (1964); beta = 0 is gradient descent."""

    def __init__(self, start: Array, bounds: tuple[Array, Array], *, rate: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(start, bounds, rate)
        self._beta = momentum
        self._buffers["m"] = np.zeros_like(start)

    def _step(self, gradient: Array) -> Array:
        self._buffers["m"] = self._beta * self._buffers["m"] + gradient
        return self._rate * self._buffers["m"]


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

    def _step(self, gradient: Array) -> Array:
        buffers = self._buffers
        buffers["m"] = self._beta1 * buffers["m"] + (1 - self._beta1) * gradient
        buffers["v"] = self._beta2 * buffers["v"] + (1 - self._beta2) * gradient**2
        mean = buffers["m"] / (1 - self._beta1**self._told)
        square = buffers["v"] / (1 - self._beta2**self._told)
        return self._rate * mean / (np.sqrt(square) + self._floor)


class _EvaluationNeededError(Exception):
    def __init__(self, point: Array) -> None:
        self.point = point


class LBFGS:
    """L-BFGS-B of scipy, for gradients that are exact or nearly so; one step is one gradient.

    scipy calls its objective; a rig must not be called from inside a library.  So the optimizer is a pure function
    of the evaluations it has been told: `ask` runs scipy from the start, answers from that history, and stops at
    the first point that is not in it.  The history is the whole state, and resuming is exact.  Replaying costs
    about 40 us an evaluation, far below any shot.

    Before it knows any curvature scipy takes a step of unit length along the gradient; here its length is `first`.

    Where a trial diverged scipy is told of a parabola in its place, through the best point with the slope there and its
    minimum at a tenth of the way: the line search backs off.
    """

    def __init__(
        self,
        start: Array,
        bounds: tuple[Array, Array],
        *,
        memory: int = 20,
        tolerance: float = 1e-12,
        first: float = 1.0,
    ) -> None:
        self._start, self._bounds = np.clip(start, *bounds), bounds
        self._memory, self._tolerance, self._first = memory, tolerance, first
        self._points: list[Array] = []
        self._losses: list[float] = []
        self._gradients: list[Array] = []
        self._next: Array | None = None
        self._ended: tuple[bool, str] | None = None

    @property
    def done(self) -> bool:
        """True when scipy has stopped."""
        if self._next is None and self._ended is None:
            self._advance()
        return self._ended is not None

    @property
    def converged(self) -> bool:
        """True if what is left to gain is below the tolerance, or below what the loss can resolve."""
        return self.done and self._ended is not None and self._ended[0]

    @property
    def why(self) -> str:
        """Why scipy has stopped."""
        return self._ended[1] if self.done and self._ended is not None else ""

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
        return self._points[self._lowest(len(self._points))].copy() if self._points else self._start.copy()

    def _lowest(self, count: int) -> int:
        """Index of the best of the first `count` evaluations."""
        return int(np.argmin(self._losses[:count]))

    def _advance(self) -> None:
        from scipy.optimize import minimize

        calls = 0

        def objective(x: Array) -> tuple[float, Array]:
            nonlocal calls
            if calls == len(self._points):
                raise _EvaluationNeededError(x * self._first)
            calls += 1
            loss, gradient = self._told(calls - 1)
            return loss, gradient * self._first

        options = {"maxcor": self._memory, "ftol": self._tolerance, "gtol": 0.0, "maxiter": _MOST, "maxfun": _MOST}
        try:
            minimize(
                objective,
                self._start / self._first,
                jac=True,
                method="L-BFGS-B",
                bounds=[(low / self._first, high / self._first) for low, high in zip(*self._bounds, strict=True)],
                options=options,
            )
        except _EvaluationNeededError as need:
            self._next = need.point
        else:
            self._ended = self._verdict()

    def _told(self, index: int) -> tuple[float, Array]:
        """An evaluation as scipy is told it."""
        if np.isfinite(self._losses[index]) or index == 0:
            return self._losses[index], self._gradients[index]
        best = self._lowest(index)
        way = self._points[index] - self._points[best]
        gain = max(-float(self._gradients[best] @ way), np.finfo(float).tiny)  # if the loss went on as it begins
        # f(t) = loss - gain t + 5 gain t^2, at t = 1 where it diverged
        return self._losses[best] + 4 * gain, way * (9 * gain / max(float(way @ way), np.finfo(float).tiny))

    def _verdict(self) -> tuple[bool, str]:
        """Whether an end is convergence, by what the last step promised and made of the loss: more than scipy says.

        It gives up a line search for want of digits as well as for want of a descent, and takes a noisy loss that comes
        back by chance for one that no longer falls.
        """
        best = self._lowest(len(self._points))
        x, loss, gradient = self._points[best], self._losses[best], self._gradients[best]
        if np.array_equal(np.clip(x - gradient, *self._bounds), x):
            return True, "the gradient is zero, but for what the bounds hold back"
        begin = best if best + 1 < len(self._points) else max(best - 1, 0)
        end = min(begin + 1, len(self._points) - 1)
        promised = -float(self._gradients[begin] @ (self._points[end] - self._points[begin]))
        changed = abs(self._losses[end] - self._losses[begin])
        least = max(RESOLVED * abs(loss), self._tolerance * max(abs(loss), 1.0))
        if max(promised, changed) <= least:
            return True, f"a step changes the loss by less than {least:.2g}, from {loss:.4g}"
        return False, (
            f"the line search finds no loss below {loss:.4g}, where the gradient promises {promised:.2g} less: the "
            "gradient is wrong, or the loss is noisy or has jumps; audit the gradient, or take adam"
        )

    def state(self) -> dict[str, Any]:
        """The history of evaluations, and what scipy was asked with them."""
        return {
            "first": self._first,
            "losses": np.array(self._losses),
            "points": np.array(self._points).reshape(len(self._points), self._start.size),
            "gradients": np.array(self._gradients).reshape(len(self._points), self._start.size),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a history."""
        self._first = float(state.get("first", 1.0))  # that of records from before it could be chosen
        self._losses = [float(value) for value in state["losses"]]
        self._points = [np.array(row, float) for row in state["points"]]
        self._gradients = [np.array(row, float) for row in state["gradients"]]
        self._next, self._ended = None, None


OPTIMIZERS = {"momentum": Momentum, "adam": Adam, "lbfgs": LBFGS}
