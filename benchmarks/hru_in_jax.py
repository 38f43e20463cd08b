"""The recurrent units once more in JAX, as a user of JAX would write them: the peers of `benchmarks.hru_speed`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

INNER = 128


def contenders(
    theta: Mapping[str, np.ndarray], inputs: np.ndarray, target: np.ndarray, eps: float
) -> dict[str, Callable[[], Any]]:
    """Jitted loss gradients by name; the model is nonlinear if there is an `alpha`."""
    import jax

    jax.config.update("jax_enable_x64", inputs.dtype == np.float64)
    jnp = jax.numpy
    parameters = {name: jnp.asarray(value) for name, value in theta.items()}
    # Time first, as scans want it; done once, outside of what is timed.
    u, t = jnp.asarray(inputs.swapaxes(0, 1)), jnp.asarray(target.swapaxes(0, 1))

    def force(x: Any, q: Any, drive: Any) -> Any:
        if "alpha" not in x:
            return drive - x["A"] * q
        return -x["alpha"] * q - jax.nn.sigmoid(x["c"]) * jnp.tanh(x["A"] * q + drive + x["b"])

    def step(x: Any, state: Any, v: Any) -> Any:
        q, p = state
        half = x["d"] / 2
        middle = q + half * p
        after = p + x["d"] * force(x, middle, v @ x["B"].T)
        return middle + half * after, after

    rest = (jnp.zeros((u.shape[1], len(theta["d"])), u.dtype),) * 2

    def body(x: Any) -> Any:
        def advance(state: Any, now: Any) -> Any:
            state = step(x, state, now[0])
            return state, jnp.sum((state[0] @ x["C"].T - now[1]) ** 2) / 2

        return advance

    def loss(x: Any, u: Any, t: Any, *, unroll: int = 1) -> Any:
        return jnp.sum(jax.lax.scan(body(x), rest, (u, t), unroll=unroll)[1])

    def checkpointed(x: Any, u: Any, t: Any) -> Any:
        whole = len(u) // INNER * INNER
        inner = jax.checkpoint(lambda state, part: jax.lax.scan(body(x), state, part))
        parts = tuple(value[:whole].reshape(-1, INNER, *value.shape[1:]) for value in (u, t))
        state, losses = jax.lax.scan(inner, rest, parts)
        return jnp.sum(losses) + jnp.sum(jax.lax.scan(body(x), state, (u[whole:], t[whole:]))[1])

    def rhel(x: Any, u: Any, t: Any) -> Any:
        def run(state: Any, now: Any) -> Any:
            state = step(x, state, now[0])
            return state, state[0] @ x["C"].T - now[1]

        (q, p), error = jax.lax.scan(run, rest, (u, t))

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
        (_, _, sums), _ = jax.lax.scan(echo, start, (u[::-1], error[::-1]))
        found = dict(zip(like, sums, strict=True))
        d = x["d"]
        s = jax.nn.sigmoid(x["c"]) if "alpha" in x else 1.0
        share = {"C": -2 * eps, "B": (d * s)[:, None], "A": d * s, "d": 1.0}
        if "alpha" in x:
            share |= {"b": d * s, "alpha": d, "c": d * s * (1 - s)}
        return {name: -share[name] * value / (2 * eps) for name, value in found.items()}

    def associative(x: Any, u: Any, t: Any) -> Any:
        # State (q, p) -> M (q, p) + N (B u), M and N per unit; prefixes of the chain by jax.lax.associative_scan.
        d, half = x["d"], x["d"] / 2
        bend = 1 - half * d * x["A"]
        m = jnp.stack([jnp.stack([bend, d - half**2 * d * x["A"]]), jnp.stack([-d * x["A"], bend])])
        drive = u @ x["B"].T
        v = jnp.stack([half * d * drive, d * drive], axis=1)
        chain = jnp.broadcast_to(m[None, :, :, None], (len(u), 2, 2, 1, len(d)))

        def join(a: Any, b: Any) -> Any:
            return jnp.einsum("tijbn,tjkbn->tikbn", b[0], a[0]), jnp.einsum("tijbn,tjbn->tibn", b[0], a[1]) + b[1]

        states = jax.lax.associative_scan(join, (chain, v))[1]
        return jnp.sum((states[:, 0] @ x["C"].T - t) ** 2) / 2

    functions = {
        "scan": jax.jit(jax.grad(loss)),
        "scan unroll 4": jax.jit(jax.grad(lambda x, u, t: loss(x, u, t, unroll=4))),
        "checkpointed": jax.jit(jax.grad(checkpointed)),
        "RHEL scan": jax.jit(rhel),
    }
    if "alpha" not in theta and inputs.shape[1] <= 2000:  # its memory is 1 MB a step
        functions["associative scan"] = jax.jit(jax.grad(associative))
    return {name: (lambda f=f: f(parameters, u, t)) for name, f in functions.items()}
