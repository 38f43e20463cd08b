"""Why an echo misses its path: hypotheses, each with a test of its own on the readings at hand, and its share.

Let m (n, kicks) be what the mean echo misses of the forward path.  Of its square

    clipped      all, where readings hit the ends of a converter
    quantised    3/2 LSB^2/12 a reading: one of the record, half of one of the mean of two echoes
    noisy        what is white: the sixth difference of a smooth path is nothing, of white noise sqrt(924) of it

and a force phi = L m would explain what is left (`protocols.inference.inverse_dynamics`).  By least squares each of the
following is asked how much of phi it explains on its own:

    friction     G v, G symmetric                  drag     |v| v and sign(v) of each oscillator
    delayed      L v_i of each channel, and the slope of what each port plays; jittered, if the repeats differ
    jittered     what each port plays: its gain was another one in this shot than in the forward pass
    nudge        the even part of the force that the answer x meets, along the mean echo
    flip         phi is all in the first three kicks; by drive: what the start is prepared by is wrong

Masses and springs are first fitted to the forward passes (`protocols.inference.fit`): with those of a model that is a
tenth off, phi looks like anything.

What none of them explains, and is different in each repeat, is noisy, too: forces that shake the rig.

Source: linear regression; 0.5^6 bounds what a motion of six kicks a radian leaves in a sixth difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from labrhel.arrays import Array
from labrhel.rig.capabilities import Reversal
from protocols.echoes.blocks import Block
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardPass
from protocols.inference.fit import fit, free_run
from protocols.inference.inverse_dynamics import InverseDynamics
from protocols.inference.record import low_pass

SENTENCES = {
    "clipped": "readings that clip: raise the range of their channels",
    "quantised": "the rounding of the converters: give the channels a smaller range, or more bits",
    "noisy": "noise: repeats: R averages it",
    "jittered": "jitter of gains or triggers from shot to shot: repeats: R averages it",
    "friction": "friction that the model does not have, or that this echo does not play back: echo: driven plays "
    "what the model has, lock: 6 learns the rest, or calibrate it",
    "drag": "friction that is not linear in the velocity, which no echo gets right: labrhel audit tells by how much",
    "delayed": "a delay that is not calibrated: calibrate the delays of ports and channels",
    "nudge": "a nudge that is too strong for a nonlinear rig: lower the response",
    "flip": "a flip that leaves other momenta than it should: calibrate it",
    "prepared": "a start that what it is prepared by gets wrong, the springs, masses and friction of the model, or "
    "delays and gains: calibrate them (labrhel calibrate, paths), or lock: 6 learns it",
}
"""What each of them is called, and what to do about it."""

_KNOWN = 0.5  # of the miss: the least share of a cause that is named
_WHITE = 924.0  # variance of the sixth difference of white noise: the binomial coefficient (12, 6)
_SHORTEST = 16  # kicks of a pass: below it every hypothesis explains all
_MOST = 60  # columns of a hypothesis
_SINGULAR = 1e-10  # of the largest eigenvalue of their products: columns that say the same
_FIRST = 3  # kicks in which a wrong flip shows
_ALONG = 0.1  # of a path, that a model may be off at most if its springs are to be trusted
_REFITTED = ("potential", "kinetic", "directed", "gyroscopic")
_WORK = 3e5  # parameters times oscillators times kicks of a fit, some tenths of a second; passes are cut to it
_CHANGES = 0.25  # of what is neither white nor rounding: so much of it is different in each repeat where it jitters


@dataclass(frozen=True, slots=True)
class Cause:
    """Why, as a key of `SENTENCES`, and the share of the squared miss that it explains."""

    name: str
    share: float

    @property
    def is_known(self) -> bool:
        """True if it is most of it."""
        return self.share >= _KNOWN

    def __str__(self) -> str:
        if self.is_known:
            return f"{100 * self.share:.0f} % of that is {SENTENCES[self.name]}"
        return "what causes it is not known: labrhel audit tells what it does to the gradient"


def cause_of_miss(plan: EchoPlan, blocks: Sequence[Block]) -> Cause:
    """The largest cause of what the echoes of `blocks` miss, however small its share is; takes no shot."""
    if any(block.clipped or block.batch.clipped for block in blocks):
        return Cause("clipped", 1.0)
    total = float(np.mean([block.reading.missed for block in blocks])) or 1e-300
    steps = _steps(plan, blocks[0].batch.passes)
    kicks = sum(item.steps for item in blocks[0].batch.passes)
    rounded = min(1.0, 1.5 * kicks * float(np.sum(steps**2)) / 12 / total)
    white = min(1.0, sum(_white(item) for item in blocks[0].reading.miss) / max(blocks[0].reading.missed, 1e-300))
    shares = {"quantised": rounded, "noisy": max(0.0, white - rounded)}
    most = max(shares, key=lambda item: shares[item])
    if shares[most] >= _KNOWN:  # no other can be larger, and the others take time
        return Cause(most, shares[most])
    left = max(0.0, 1 - max(white, rounded))
    random = _random(blocks) / total - max(white, rounded)
    forced = _Explanations(plan, blocks[0]) if kicks >= _SHORTEST * len(blocks[0].drives) else None
    found = {"jittered": 0.0} if forced is None else forced.shares()
    if random > _CHANGES * left:
        # A delay that is another one in each shot is that of a trigger, and so is a start that the flip leaves; forces
        # that are, and nothing else, are noise.
        found["jittered"] = max(found["jittered"], found.pop("delayed", 0.0), found.pop("flip", 0.0))
        if forced is not None and found["nudge"] > found["jittered"]:
            # Echoes whose gains differ are apart by more than the nudge, and that bends the motion like a strong one.
            found["jittered"] = max(found["jittered"], forced.jittered_beside_the_nudge())
        found["noisy"] = 1 - max(found.values())
    if plan.reversal is Reversal.BY_DRIVE and "flip" in found:
        found["prepared"] = found.pop("flip")  # it flips nothing
    for name, share in found.items():
        shares[name] = shares.get(name, 0.0) + left * share
    name = max(shares, key=lambda item: shares[item])
    return Cause(name, shares[name])


def _steps(plan: EchoPlan, passes: Sequence[ForwardPass]) -> Array:
    """Step of each position (n,), as the record shows it or a converter declares it; 0 where there is none."""
    rig = plan.task.capabilities
    declared = [channel.converter.lsb if channel.converter else 0.0 for channel in rig.channels]
    found = np.zeros(plan.task.model.size)
    for i in range(len(found)):
        values = np.unique(np.concatenate([item.q[i] for item in passes]))
        gaps = np.diff(values)
        gaps = gaps[gaps > 1e-9 * max(float(np.ptp(values)), 1e-300)]
        least = float(gaps.min()) if gaps.size else 0.0
        # On a grid every gap is a multiple of the least one, and values come more than once.
        if least and len(values) < 0.8 * sum(item.steps for item in passes):
            found[i] = least if np.abs(gaps / least - np.round(gaps / least)).max() < 1e-3 else 0.0
    return found if found.any() else np.full(len(found), max(declared))


def _white(miss: Array) -> float:
    """Sum of squares of the white part of a miss (n, kicks)."""
    if miss.shape[1] <= 12:
        return 0.0
    return float(np.sum(np.mean(np.diff(miss, 6) ** 2, axis=1))) / _WHITE * miss.shape[1]


def _random(blocks: Sequence[Block]) -> float:
    """Sum of squares of what is different in each block; 0 of one alone."""
    if len(blocks) < 2:
        return 0.0
    rows = zip(*(block.reading.miss for block in blocks), strict=True)
    return sum(float(np.sum(np.var(row, axis=0, ddof=1))) for row in rows)


@dataclass(frozen=True, slots=True)
class _LowPass:
    """Passes what a motion of the rig can be, and keeps those samples that each say something new."""

    width: float
    """Standard deviation of the filter [kicks]."""
    edge: int
    """Kicks at either end that it spoils."""

    def __call__(self, rows: Array) -> Array:
        """Rows (..., kicks) as (..., samples)."""
        every, kicks = max(1, int(self.width)), rows.shape[-1]
        if kicks <= 3 * self.edge:
            return gaussian_filter1d(rows, self.width)[..., ::every]
        # Only what is kept is computed, for all rows at once.
        passed = _gaussian(self.width, self.edge, kicks, every) @ rows.reshape(-1, kicks).T
        return passed.T.reshape(*rows.shape[:-1], -1)


@lru_cache(maxsize=2)  # as many grids as a gradient has, as a rule; long ones take memory
def _gaussian(width: float, edge: int, kicks: int, every: int) -> csr_array:
    """What a filter makes of a row of kicks (samples, kicks), without its edges: as gaussian_filter1d has it."""
    radius = int(4 * width + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
    middles = np.arange(edge, kicks - edge, every)
    columns = middles[:, None] + np.arange(-radius, radius + 1)
    values, ends = np.tile(weights / weights.sum(), len(middles)), np.arange(0, columns.size + 1, columns.shape[1])
    return csr_array((values, columns.ravel(), ends), (len(middles), kicks))


class _Forces:
    """What the miss of one pass is as a force, and what may make it, in the order of the echo and low-passed.

    Each row is passed once, and columns are made of passed rows.
    """

    def __init__(self, plan: EchoPlan, block: Block, place: int, passed: Callable[[Array], Array]) -> None:
        item, drive = block.batch.passes[place], block.drives[place]
        self._plan, self._passed = plan, passed
        self._inverse = InverseDynamics(plan.task.model, plan.theta, plan.task.step)
        self._path, self._raw_v = item.q[:, ::-1], -item.v[:, ::-1]
        miss = block.reading.miss[place]
        self._mean = self._path + miss
        self._pull = plan.task.model.force(self._mean, plan.theta)
        self.needed = self._inverse.inertia(miss, np.zeros(len(miss)))
        self.needed += plan.task.model.force(self._path, plan.theta) - self._pull
        """The force (n, kicks) that would explain the miss; of the last kick that of the one before."""
        self.needed[:, -1] = self.needed[:, -2]
        # Friction g that nobody compensates pulls with g (v + v'), v' the velocity of the echo that lacks it.
        self._echo_v = self._raw_v + (self._slope(miss) if miss.shape[1] > 1 else 0.0)
        self._v = passed((self._raw_v + self._echo_v) / 2)
        # What the model has and the echo was not given for pulls with the velocity of the path alone.
        left_out = plan.task.model.friction(plan.theta) - plan.friction
        self._left_out = passed(left_out @ self._raw_v) if left_out.any() else None
        model, u = plan.task.model, item.u[:, ::-1]
        silent = model.input_force(np.zeros_like(u), plan.theta)
        played = []
        for j in range(len(u)):
            one = np.zeros_like(u)
            one[j] = u[j]
            played.append(model.input_force(one, plan.theta) - silent)
        self.played = [passed(force) for force in played]
        self._late = [passed(self._slope(force)) for force in played]
        self._driven, self._late_driven = passed(drive.echo_force), passed(self._slope(drive.echo_force))

    def _slope(self, force: Array) -> Array:
        """d/ds of a force (n, kicks)."""
        return np.gradient(force, self._plan.task.step, axis=1)

    @property
    def friction(self) -> list[Array]:
        """Columns of symmetric friction matrices."""
        v, n = self._v, len(self._v)
        pairs = (
            list(combinations_with_replacement(range(n), 2)) if n * (n + 1) / 2 <= _MOST else [(i, i) for i in range(n)]
        )
        found = [] if self._left_out is None else [self._left_out]
        for i, j in pairs:
            column = np.zeros_like(v)
            column[i], column[j] = v[j], v[i]
            found.append(column)
        return found

    @property
    def drag(self) -> list[Array]:
        """Columns of friction that is not linear."""
        both = (self._raw_v, self._echo_v)
        speed = np.abs(both).max(axis=(0, 2))[:, None] + 1e-300
        laws = ([np.abs(v) * v for v in both], [np.tanh(v / (0.02 * speed)) for v in both])
        return [column for law in laws for column in _alone(self._passed(np.mean(law, axis=0)))]

    @property
    def delayed(self) -> list[Array]:
        """Columns of late channels and late ports."""
        rows = self._inverse.of_rows(self._raw_v, self._path)
        return [self._passed(force) for force in rows] + self._late + _alone(self._late_driven)

    @property
    def jittered(self) -> list[Array]:
        """Columns of gains that were other ones in this shot than in the forward pass."""
        return self.played + _alone(self._driven)

    def nudge(self, answer: Array) -> list[Array]:
        """The column of an answer (n, kicks) to the nudge that is not small: exact along the mean of the echoes."""
        force, theta = self._plan.task.model.force, self._plan.theta
        pulls = force(self._mean + answer, theta) + force(self._mean - answer, theta)
        return [self._passed(pulls / 2 - self._pull)]


def _alone(rows: Array) -> list[Array]:
    """Each row of (n, samples) with zeros for the others."""
    return list(np.eye(len(rows))[:, :, None] * rows)


class _Explanations:
    """Of the force that explains the miss of a block, what each hypothesis explains on its own."""

    def __init__(self, plan: EchoPlan, block: Block) -> None:
        plan = replace(plan, theta=_seen(plan, block.batch.passes))
        passed = _LowPass(*low_pass(plan.task.model, plan.theta, plan.task.step))
        self._every = [_Forces(plan, block, place, passed) for place in range(len(block.drives))]
        self._raw = [forces.needed for forces in self._every]
        self._phi = np.concatenate([passed(item).ravel() for item in self._raw])
        answers = _answers(plan, block)
        self._even = [forces.nudge(answer) for forces, answer in zip(self._every, answers, strict=True)]

    def shares(self) -> dict[str, float]:
        """By hypothesis."""
        columns = {
            "friction": [forces.friction for forces in self._every],
            "drag": [forces.drag for forces in self._every],
            "delayed": [forces.delayed for forces in self._every],
            "jittered": [forces.jittered for forces in self._every],
            "nudge": self._even,
        }
        found = {name: _explained(self._phi, parts) for name, parts in columns.items()}
        whole = sum(float(np.sum(item**2)) for item in self._raw) or 1e-300
        flip = sum(float(np.sum(item[:, :_FIRST] ** 2)) for item in self._raw) / whole
        return {"flip": flip, **{name: (1 - flip) * share for name, share in found.items()}}

    def jittered_beside_the_nudge(self) -> float:
        """What gains of one shot explain, after the even part of what is between the echoes.

        Forces that shake the rig move the echoes apart, too, and the even part of that is no sign of gains: what it
        leaves has to look like them.
        """
        rest = self._phi - np.concatenate([column.ravel() for (column,) in self._even])
        share = _explained(rest, [forces.jittered for forces in self._every])
        if share < _KNOWN:
            return 0.0
        return max(0.0, 1 - (1 - share) * float(rest @ rest) / (float(self._phi @ self._phi) or 1e-300))


def _seen(plan: EchoPlan, passes: Sequence[ForwardPass]) -> dict[str, Array]:
    """The parameters with masses and springs as the forward passes say that they are.

    A miss that has grown over many periods is a small difference of large forces: springs that are a tenth off are more
    than what made it, and what the model is then said to lack looks like anything.  Friction stays, since it is asked.
    """
    model, theta = plan.task.model, dict(plan.theta)
    asked = sum(np.size(spec.nominal) for spec in model.parameters.values() if spec.kind in (*_REFITTED, "friction"))
    if _runs_along(plan, passes):
        return theta
    most = int(_WORK / max(asked * model.size * len(passes), 1))
    if most < _SHORTEST:
        return theta
    heads = [replace(item, q=item.q[:, :most], u=item.u[:, :most]) for item in passes]
    noise = np.sqrt(np.mean([np.mean(np.diff(item.q, 6) ** 2, axis=1) for item in heads], axis=0) / _WHITE)
    found = fit(model, theta, heads, plan.task.step, noise).theta
    return theta | {name: found[name] for name, spec in model.parameters.items() if spec.kind in _REFITTED}


def _runs_along(plan: EchoPlan, passes: Sequence[ForwardPass]) -> bool:
    """Whether the model, run free, stays so near to the passes that its springs are not worth a fit.

    Springs that are off by dk move a free run by x = dk q T / 2w within T, and what explains a miss m by dk m of the
    2w m / T that it takes to make it: by the share x / q, which is what is asked.
    """
    model, theta, step = plan.task.model, plan.theta, plan.task.step
    with np.errstate(over="ignore", invalid="ignore"):
        off = sum(float(np.sum((free_run(model, theta, item, step).q[0] - item.q) ** 2)) for item in passes)
    return off < _ALONG**2 * sum(float(np.sum(item.q**2)) for item in passes)


def _answers(plan: EchoPlan, block: Block) -> list[Array]:
    """Half of what the strongest two nudges moved the echoes apart, by pass, in the order of the echo."""
    found = []
    for turns in plan.turns(block.captures):
        strongest = max(turns[0])
        ends = [plan.geometry.state(turns[0][level].last, plan.task.step)[0] for level in (strongest, min(turns[0]))]
        found.append((ends[0] - ends[1]) / 2)
    return found


def _explained(phi: Array, columns: Sequence[Sequence[Array]]) -> float:
    """Share of phi (samples of all passes) that columns (n, samples), by pass, explain by least squares.

    It is less by what as many random ones would explain.  A single column is what phi should be, and no multiple of it.
    """
    matrix = np.concatenate([np.stack(part).reshape(len(part), -1) for part in columns], axis=1)
    size = np.linalg.norm(matrix, axis=1)
    matrix = matrix[size > 0] / size[size > 0, None]
    whole = float(phi @ phi)
    if whole == 0 or not len(matrix):
        return 0.0
    # Shares need two digits, which the normal equations have at a tenth of the cost of an orthogonal factorisation.
    value = size if len(size) == 1 else np.linalg.pinv(matrix @ matrix.T, _SINGULAR, hermitian=True) @ (matrix @ phi)
    left = float(np.sum((phi - matrix.T @ value) ** 2)) / whole
    freedom = max(phi.size - len(matrix), 1)
    return max(0.0, 1 - left * (1 + len(matrix) / freedom))
