"""The densely coupled network once more in JAX, as users of JAX would write it: the peers of dense_speed.

    scan                  lax.scan, reverse mode; stiffness and springs folded into one matrix W once for all steps
    scan, wide            products with B and C as one matrix product for all steps; four steps to an iteration
    checkpointed 100      wide scans of 100 steps, each recomputed on the way back
    scan, deferred        wide, and the gradient of W as one matrix product: reverse mode is asked for that of a force
                          added to each step instead
    RHEL scan             two echoes side by side in one lax.scan, symmetric, no reverse mode over time

Those of reverse mode are the ways that were ever the fastest, and the plain one, which comes to mind first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.rounds import Contender

INNER = 100


def folded(theta: Any) -> Any:
    """Parameters with the linear part of the force, -k q_i + sum_j J_ij (q_j - q_i), as q W."""
    springs = (theta["J"] + theta["J"].T) / 2
    springs = springs - jnp.diag(jnp.diag(springs))
    return {**theta, "W": springs - jnp.diag(theta["k"] + springs.sum(axis=1))}


def force(x: Any, q: Any, drive: Any) -> Any:
    return q @ x["W"] - x["b"] * q**3 + drive


def step(x: Any, state: Any, drive: Any) -> tuple[Any, Any]:
    """The state after a step, and the position at its kick."""
    q, p = state
    half = x["d"] / 2
    middle = q + half * p
    after = p + x["d"] * force(x, middle, drive)
    return (middle + half * after, after), middle


def plain(x: Any, state: Any, u: Any) -> tuple[Any, Any]:
    def advance(state: Any, now: Any) -> Any:
        state, _ = step(x, state, now @ x["B"].T)
        return state, state[0] @ x["C"].T

    return lax.scan(advance, state, u)


def wide(x: Any, state: Any, u: Any, *, unroll: int = 1) -> tuple[Any, Any]:
    def advance(state: Any, drive: Any) -> Any:
        state, _ = step(x, state, drive)
        return state, state[0]

    end, q = lax.scan(advance, state, u @ x["B"].T, unroll=unroll)
    return end, q @ x["C"].T


def checkpointed(x: Any, state: Any, u: Any) -> tuple[Any, Any]:
    whole = len(u) // INNER * INNER
    again = jax.checkpoint(wide)
    parts = u[:whole].reshape(-1, INNER, *u.shape[1:])
    state, y = lax.scan(lambda state, part: again(x, state, part), state, parts)
    state, rest = wide(x, state, u[whole:])
    return state, jnp.concatenate([y.reshape(whole, *y.shape[2:]), rest])


def deferred(theta: Any, u: Any, t: Any) -> Any:
    x, unfold = jax.vjp(folded, theta)

    def loss(x: Any, added: Any) -> Any:
        x = {**x, "W": lax.stop_gradient(x["W"])}

        def advance(state: Any, drive: Any) -> Any:
            state, middle = step(x, state, drive)
            return state, (state[0], middle)

        _, (q, middle) = lax.scan(advance, at_rest(x, u), u @ x["B"].T + added, unroll=4)
        return jnp.sum((q @ x["C"].T - t) ** 2) / 2, middle

    added = jnp.zeros((*u.shape[:2], len(x["k"])), u.dtype)
    (by_x, by_force), middle = jax.grad(loss, argnums=(0, 1), has_aux=True)(x, added)
    return unfold({**by_x, "W": jnp.einsum("tbi,tbj->ij", middle, by_force)})[0]


def rhel(theta: Any, u: Any, t: Any, eps: float) -> Any:
    x, unfold = jax.vjp(folded, theta)
    (q, p), y = plain(x, at_rest(x, u), u)
    d, half = x["d"], x["d"] / 2

    def echo(carry: Any, now: Any) -> Any:
        (q, p), sums = carry  # (2, batch, n), the echo nudged up and the one nudged down
        v, e = now
        by_readout = jnp.einsum("bo,bn->on", e, (q[0] + q[1]) / 2)
        before = p + jnp.array([eps, -eps], u.dtype)[:, None, None] * (e @ x["C"])
        q = q + half * before
        after = before + d * force(x, q, v @ x["B"].T)
        # Observables by their mid-point forms: the force's own slopes at the mean, times the difference.
        apart, mean = (q[0] - q[1]) / (2 * eps), (q[0] + q[1]) / 2
        at_mean, pull = jax.vjp(lambda x: force(x, mean, v @ x["B"].T), x)
        (found,) = pull(d * apart)
        kinetic = sum((a[0] ** 2 - a[1] ** 2).sum() for a in (before, after)) / (8 * eps)
        found = {**found, "C": by_readout, "d": jnp.sum(at_mean * apart) - kinetic}
        return ((q + half * after, after), jax.tree.map(jnp.add, sums, found)), None

    start = (jnp.stack([q, q]), jnp.stack([-p, -p])), jax.tree.map(jnp.zeros_like, x)
    (_, sums), _ = lax.scan(echo, start, (u[::-1], (y - t)[::-1]))
    return unfold(sums)[0]


def contenders(
    theta: Mapping[str, np.ndarray], inputs: np.ndarray, target: np.ndarray, eps: float
) -> dict[str, Contender]:
    """Gradients of half the squared error, by way."""
    jax.config.update("jax_enable_x64", inputs.dtype == np.float64)
    x = {name: jnp.asarray(value) for name, value in theta.items()}
    u, t = (jnp.asarray(np.ascontiguousarray(values.swapaxes(0, 1))) for values in (inputs, target))

    def loss(way: Callable[..., Any]) -> Any:
        return jax.jit(jax.grad(lambda x, u, t: jnp.sum((way(folded(x), at_rest(x, u), u)[1] - t) ** 2) / 2))

    functions = {
        "scan": loss(plain),
        "scan, wide": loss(lambda x, state, u: wide(x, state, u, unroll=4)),
        f"checkpointed {INNER}": loss(checkpointed),
        "scan, deferred": jax.jit(deferred),
        "RHEL scan": jax.jit(lambda x, u, t: rhel(x, u, t, eps)),
    }
    return {name: Contender(lambda f=f: jax.block_until_ready(f(x, u, t)), len(u)) for name, f in functions.items()}


def at_rest(x: Any, u: Any) -> Any:
    return (jnp.zeros((u.shape[1], len(x["k"])), u.dtype),) * 2
