"""The recurrent units once more in JAX, as users of JAX would write them: the peers of hru_speed and deep_layer.

    scan                       lax.scan, reverse mode
    scan, steps recomputed     the same with jax.checkpoint around each step: the tape holds the state alone
    checkpointed N             scan of N-step scans, each recomputed on the way back
    checkpointed N, wide       the same, with the products with B and C as one matrix product for N steps
    RHEL scan                  two echoes as one lax.scan, symmetric, no reverse mode (lossless units)
    associative scan           lax.associative_scan, reverse mode (lossless linear units, up to 2000 steps: 1 MB each)

Those are the ways that were ever the fastest, and the plain one.  Unrolling by 4, alone or within checkpoints, inner
lengths of 128 and 256, and wide products without checkpoints were tried (10,000 steps, float32) and were not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.rounds import Contender

Pass = Callable[[Any, Any, Any], tuple[Any, Any]]
"""(parameters, state, inputs (steps, batch, d_in)) -> (end state, outputs (steps, batch, d_out))."""


def force(x: Any, q: Any, drive: Any) -> Any:
    """F at the position q; the unit is nonlinear if there is an `alpha`."""
    if "alpha" not in x:
        return drive - x["A"] * q
    return -x["alpha"] * q - jax.nn.sigmoid(x["c"]) * jnp.tanh(x["A"] * q + drive + x["b"])


def step(x: Any, state: Any, drive: Any) -> Any:
    """One step; the unit is damped if there is a `g`."""
    q, p = state
    half = x["d"] / 2
    middle = q + half * p
    after = p + x["d"] * force(x, middle, drive)
    if "g" in x:
        lost = half * x["g"]
        after = (after - lost * p) / (1 + lost)
    return middle + half * after, after


def plain(x: Any, state: Any, u: Any, *, recomputed: bool = False) -> tuple[Any, Any]:
    def advance(state: Any, v: Any) -> Any:
        state = step(x, state, v @ x["B"].T)
        return state, state[0] @ x["C"].T

    return lax.scan(jax.checkpoint(advance) if recomputed else advance, state, u)


def wide(x: Any, state: Any, u: Any) -> tuple[Any, Any]:
    def advance(state: Any, drive: Any) -> Any:
        state = step(x, state, drive)
        return state, state[0]

    end, q = lax.scan(advance, state, u @ x["B"].T)
    return end, q @ x["C"].T


def checkpointed(run: Pass, inner: int) -> Pass:
    def chunked(x: Any, state: Any, u: Any) -> tuple[Any, Any]:
        whole = len(u) // inner * inner
        again = jax.checkpoint(run)
        parts = u[:whole].reshape(-1, inner, *u.shape[1:])
        state, y = lax.scan(lambda state, part: again(x, state, part), state, parts)
        state, rest = run(x, state, u[whole:])
        return state, jnp.concatenate([y.reshape(whole, *y.shape[2:]), rest])

    return chunked


WAYS: Mapping[str, Pass] = {
    "scan": plain,
    "scan, steps recomputed": lambda x, state, u: plain(x, state, u, recomputed=True),
    "checkpointed 32": checkpointed(plain, 32),
    "checkpointed 16, wide": checkpointed(wide, 16),
    "checkpointed 64, wide": checkpointed(wide, 64),
}


def contenders(
    theta: Mapping[str, np.ndarray], inputs: np.ndarray, target: np.ndarray, eps: float
) -> dict[str, Contender]:
    """Gradients of half the squared error, by way."""
    x, u, t = _arrays(theta, inputs, target)

    def loss(way: Pass) -> Any:
        return jax.jit(jax.grad(lambda x, u, t: jnp.sum((way(x, _rest(x, u), u)[1] - t) ** 2) / 2))

    functions = {name: loss(way) for name, way in WAYS.items()}
    if "g" not in theta:
        functions["RHEL scan"] = jax.jit(lambda x, u, t: rhel(x, u, t, eps))
        if "alpha" not in theta and len(u) <= 2000:
            functions["associative scan"] = loss(associative)
    return {name: Contender(lambda f=f: jax.block_until_ready(f(x, u, t)), len(u)) for name, f in functions.items()}


def layers(theta: Mapping[str, np.ndarray], inputs: np.ndarray, cotangent: np.ndarray) -> dict[str, Contender]:
    """Forward and backward pass of a layer by way: gradients of the parameters, and of the inputs, named "u"."""
    x, u, e = _arrays(theta, inputs, cotangent)

    def pull(way: Pass) -> Any:
        def gradients(x: Any, u: Any, e: Any) -> Any:
            by_x, by_u = jax.vjp(lambda x, u: way(x, _rest(x, u), u)[1], x, u)[1](e)
            return {**by_x, "u": by_u}

        return jax.jit(gradients)

    functions = {name: pull(way) for name, way in WAYS.items()}
    return {name: Contender(lambda f=f: jax.block_until_ready(f(x, u, e)), len(u)) for name, f in functions.items()}


def rhel(x: Any, u: Any, t: Any, eps: float) -> Any:
    (q, p), y = plain(x, _rest(x, u), u)

    def echo(carry: Any, now: Any) -> Any:
        up, down, sums = carry
        v, e = now
        nudge, drive, d, half = e @ x["C"], v @ x["B"].T, x["d"], x["d"] / 2
        out = [jnp.einsum("bo,bn->on", e, (up[0] + down[0]) / 2)]
        ends, forces, kicks = [], [], []
        for (q_now, p_now), sign in ((up, eps), (down, -eps)):
            b = p_now + sign * nudge
            a = q_now + half * b
            f = force(x, a, drive)
            after = b + d * f
            forces.append(f)
            kicks.append((a, b, after))
            ends.append((a + half * after, after))
        (qa, pa, ra), (qb, pb, rb) = kicks
        diff, mean = qa - qb, (qa + qb) / 2
        by_step = -(forces[0] + forces[1]) / 2 * diff + ((pa + pb) * (pa - pb) + (ra + rb) * (ra - rb)) / 4
        if "alpha" in x:
            s = jax.nn.sigmoid(x["c"])
            tanh = -(forces[0] + forces[1] + 2 * x["alpha"] * mean) / (2 * s)
            g = (1 - tanh**2) * diff
            out += [g.T @ v, *(jnp.sum(value, 0) for value in (g * mean, g, diff * mean, tanh * diff, by_step))]
        else:
            out += [-diff.T @ v, jnp.sum(diff * mean, 0), jnp.sum(by_step, 0)]
        return (*ends, [a + b for a, b in zip(sums, out, strict=True)]), None

    like = ["C", "B", "A", "b", "alpha", "c", "d"] if "alpha" in x else ["C", "B", "A", "d"]
    start = ((q, -p), (q, -p), [jnp.zeros_like(x[name]) for name in like])
    (_, _, sums), _ = lax.scan(echo, start, (u[::-1], (y - t)[::-1]))
    d = x["d"]
    s = jax.nn.sigmoid(x["c"]) if "alpha" in x else 1.0
    share = {"C": -2 * eps, "B": (d * s)[:, None], "A": d * s, "d": 1.0}
    if "alpha" in x:
        share |= {"b": d * s, "alpha": d, "c": d * s * (1 - s)}
    return {name: -share[name] * value / (2 * eps) for name, value in zip(like, sums, strict=True)}


def associative(x: Any, state: Any, u: Any) -> tuple[Any, Any]:
    # State (q, p) -> M (q, p) + N (B u), M and N per unit; prefixes of the chain by lax.associative_scan, from rest.
    d, half = x["d"], x["d"] / 2
    bend = 1 - half * d * x["A"]
    m = jnp.stack([jnp.stack([bend, d - half**2 * d * x["A"]]), jnp.stack([-d * x["A"], bend])])
    drive = u @ x["B"].T
    v = jnp.stack([half * d * drive, d * drive], axis=1)
    chain = jnp.broadcast_to(m[None, :, :, None], (len(u), 2, 2, 1, len(d)))

    def join(a: Any, b: Any) -> Any:
        return jnp.einsum("tijbn,tjkbn->tikbn", b[0], a[0]), jnp.einsum("tijbn,tjbn->tibn", b[0], a[1]) + b[1]

    states = lax.associative_scan(join, (chain, v))[1]
    return state, states[:, 0] @ x["C"].T


def _rest(x: Any, u: Any) -> Any:
    return (jnp.zeros((u.shape[1], len(x["d"])), u.dtype),) * 2


def _arrays(theta: Mapping[str, np.ndarray], *sequences: np.ndarray) -> list[Any]:
    """On JAX's side, sequences with time first, as scans want it: done once, outside of what is timed."""
    jax.config.update("jax_enable_x64", sequences[0].dtype == np.float64)
    x = {name: jnp.asarray(value) for name, value in theta.items()}
    return [x, *(jnp.asarray(np.ascontiguousarray(values.swapaxes(0, 1))) for values in sequences)]
