"""How exact the gradients are: every accuracy target of the project with its figure, as one table.

    python -m benchmarks.gradient_accuracy [--rigs N]      exit status 1 if a target is missed

The reference is reverse-mode differentiation of the same discrete model.  docs/reference-rig.md describes the rigs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel.learning.estimator import Estimator
from protocols.echoes.options import Echo
from protocols.rhel import RHEL
from simbackend.rigs.reference import ReferenceTask, lossy_rig, reference_rig

LARGEST_RESPONSE = 1e-4  # the response ratio up to which the error targets are stated
SCAN = tuple(10 ** np.arange(-6.0, -0.9, 0.25))  # of eps; on the reference rig r is 1.06 times eps
ROUNDING = 1e-14  # relative error of a gradient on the reference rig by rounding, times eps
LARGEST_ERROR = 1e-4  # beyond it the next order of eps bends the line by more than 1 %
# The symmetric difference is exact in eps for observables that are quadratic or linear, so not for q^3, q^4 and q^5.
LINEAR_PARAMETERS = (
    "mass", "stiffness", "coupling", "friction", "input", "input_offset", "initial_position", "initial_momentum",
)  # fmt: skip


def symmetric_error() -> Figure:
    """Relative error of the symmetric estimator on the nonlinear reference rig, at the eps the rule chooses."""
    reference = reference_rig()
    gradient = reference.gradient(RHEL())
    error = reference.compare(gradient)[1]
    return Figure(
        "reference rig, symmetric: relative error <= 1e-6 at r <= 1e-4",
        f"{error:.1e} at r = {gradient.response_ratio:.1e}",
        error <= 1e-6 and gradient.response_ratio <= LARGEST_RESPONSE,
    )


def slope(reference: ReferenceTask, estimator: Estimator, scan: Sequence[float] = SCAN) -> tuple[float, int]:
    """Exponent of the error's power law in eps, by least squares in logarithms, and the number of points used.

    The law holds between rounding and the next order.  By rule: errors that are at least 100 times the rounding
    1e-14/eps, and at most 1e-4.  Raises ValueError if no two errors are.
    """
    errors = np.array([reference.compare(reference.gradient(RHEL(estimator, eps=eps)))[1] for eps in scan])
    strengths = np.array(scan)
    used = (errors >= 100 * ROUNDING / strengths) & (errors <= LARGEST_ERROR)
    if used.sum() < 2:
        raise ValueError(f"no two errors of the scan lie between rounding and {LARGEST_ERROR:g}; scan more eps")
    return float(np.polyfit(np.log(strengths[used]), np.log(errors[used]), 1)[0]), int(used.sum())


def slope_figure(estimator: Estimator, order: float, tolerance: float) -> Figure:
    """The slope on the reference rig, with at least four points to the line."""
    found, points = slope(reference_rig(), estimator)
    return Figure(
        f"reference rig, {estimator}: slope of error against eps {order} +- {tolerance}",
        f"{found:.3f} over {points} points",
        abs(found - order) <= tolerance and points >= 4,
    )


def linear_error(decades: int = 6) -> Figure:
    """Largest relative error on the linear reference rig over so many decades of eps, one point a decade."""
    linear = reference_rig(cubic=0.0)
    strengths = 10.0 ** np.arange(-3, decades - 2)
    worst = max(linear.compare(linear.gradient(RHEL(eps=eps), LINEAR_PARAMETERS))[1] for eps in strengths)
    return Figure(
        f"reference rig, linear: relative error <= 1e-8 over {decades} decades of eps",
        f"{worst:.1e} for eps from {strengths[0]:g} to {strengths[-1]:g}",
        worst <= 1e-8,
    )


def retrace() -> Figure:
    """Relative rms distance of the un-nudged echo, which the one-sided estimator runs, from the forward pass."""
    error = reference_rig().gradient(RHEL(Estimator.ONE_SIDED), ("coupling",)).retrace_error
    return Figure("reference rig: un-nudged flip and echo retraces to 1e-12", f"{error:.1e}", error <= 1e-12)


def lossy(count: int = 40) -> list[Figure]:
    """Driven and plain echoes on random lossy Duffing rigs of seeds 0 .. count - 1."""
    cosines, errors, responses, plain, said = [], [], [], [], []
    for seed in range(count):
        reference = lossy_rig(np.random.default_rng(seed))
        driven, unaided = reference.gradient(RHEL()), reference.gradient(RHEL(echo=Echo.PLAIN))
        cosine, error = reference.compare(driven)
        cosines.append(cosine)
        errors.append(error)
        responses.append(driven.response_ratio)
        plain.append(reference.compare(unaided)[0])
        said.append(any("the gradient is biased; use echo: driven" in words for words in unaided.warnings))
    small = max(responses) <= LARGEST_RESPONSE
    at = f"at r <= {max(responses):.1e}"
    return [
        Figure(
            f"{count} lossy rigs, driven echo: cosine >= 0.999999 on each",
            f"1 - {max(0.0, 1 - min(cosines)):.0e} {at}",
            min(cosines) >= 0.999999 and small,
        ),
        Figure(
            f"{count} lossy rigs, driven echo: relative error <= 1e-5 on each, r <= 1e-4",
            f"{max(errors):.1e} (median {np.median(errors):.1e}) {at}",
            max(errors) <= 1e-5 and small,
        ),
        Figure(
            f"{count} lossy rigs, plain echo: median cosine < 0.9",
            f"{np.median(plain):.2f} ({min(plain):.2f} to {max(plain):.2f})",
            float(np.median(plain)) < 0.9,
        ),
        Figure(f"{count} lossy rigs, plain echo: says that it is biased", f"{sum(said)} of {count}", all(said)),
    ]


def targets(rigs: int = 40) -> list[Figure]:
    """Every target of this file."""
    return [
        symmetric_error(),
        slope_figure(Estimator.SYMMETRIC, 2.0, 0.05),
        slope_figure(Estimator.FOUR_POINT, 4.0, 0.2),
        linear_error(),
        retrace(),
        *lossy(rigs),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Accuracy of the gradients against the project's targets.")
    parser.add_argument("--rigs", type=int, default=40, help="number of random lossy rigs")
    return 0 if print_table(targets(parser.parse_args(arguments).rigs)) else 1


if __name__ == "__main__":
    sys.exit(main())
