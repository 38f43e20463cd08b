"""What counts as the core, which tests mirror it, which faults are made whatever the seed, and which change nothing."""

from __future__ import annotations

from pathlib import Path

from benchmarks.mutants.faults import Fault

CORE = (
    "labrhel/shots/compile.py",
    "labrhel/shots/compiled.py",
    "labrhel/shots/decode.py",
    "labrhel/rig/calibrated.py",
    "labrhel/rig/calibration.py",
    "labrhel/rig/model_side.py",
    "labrhel/rig/terminals.py",
    "labrhel/rig/wiring.py",
    "labrhel/executor",
    "labrhel/learning",
    "labrhel/session/health.py",
    "labrhel/store",
    "labrhel/safety",
    "protocols/rhel.py",
    "protocols/heb.py",
    "protocols/audit.py",
    "protocols/echoes",
)
"""Files and folders that faults are drawn from."""

_STORE = ("tests/labrhel/store/test_store.py",)
_ECHOES = (
    "tests/protocols/echoes/test_options.py",
    "tests/protocols/test_rhel.py",
    "tests/protocols/test_rhel_lossy.py",
)

MORE_TESTS: dict[str, tuple[str, ...]] = {
    "labrhel/store": _STORE,
    "labrhel/store/_lines.py": ("tests/labrhel/store/test_calibrations.py",),
    "labrhel/store/calibrations.py": (),
    "labrhel/store/index.py": ("tests/labrhel/store/test_index_rows.py", "tests/labrhel/store/test_index.py"),
    "labrhel/store/_index.py": (
        "tests/labrhel/store/test_journal_index.py",
        "tests/labrhel/store/test_reader.py",
        *_STORE,
    ),
    "labrhel/store/_netcdf.py": ("tests/labrhel/store/test_consolidate.py",),
    "labrhel/store/_step_log.py": ("tests/labrhel/store/test_steps.py",),
    "labrhel/store/_summary.py": ("tests/labrhel/store/test_index_rows.py",),
    "labrhel/store/_verifying.py": ("tests/labrhel/store/test_reader.py", *_STORE),
    "labrhel/shots/compile.py": ("tests/labrhel/shots/test_start_grid.py",),
    "labrhel/shots/compiled.py": ("tests/labrhel/shots/test_compile.py",),
    "labrhel/learning/rules.py": ("tests/labrhel/learning/test_train.py",),
    "labrhel/learning/scatter.py": ("tests/labrhel/learning/test_dealing.py",),
    "labrhel/learning/units.py": ("tests/simbackend/recurrent/engines/test_unit_checks.py",),
    "labrhel/rig/calibrated.py": (
        "tests/labrhel/rig/test_calibrated_entries.py",
        "tests/labrhel/executor/test_compiling.py",
    ),
    "labrhel/safety/processes.py": ("tests/labrhel/safety/test_estop.py",),
    "labrhel/safety/places.py": ("tests/labrhel/safety/test_estop.py",),
    "labrhel/safety/seal.py": ("tests/labrhel/session/test_foreign.py",),
    "protocols/audit.py": ("tests/protocols/test_audit_weighing.py", "tests/protocols/test_audit.py"),
    "protocols/rhel.py": (*_ECHOES, "tests/protocols/echoes/test_bias.py"),
    "protocols/echoes/beliefs.py": ("tests/protocols/echoes/test_inherited.py",),
    "protocols/echoes/lock.py": ("tests/protocols/echoes/test_lock_rounds.py", "tests/protocols/echoes/test_lock.py"),
    "protocols/echoes/unread.py": ("tests/protocols/echoes/test_unread.py", "tests/protocols/test_partly_read.py"),
    "protocols/echoes": _ECHOES,
}
"""Tests of a module beside its mirror (tests/ and the same path), the quick ones first; a folder means its files."""

CHOSEN: tuple[tuple[str, str, str], ...] = (
    # Neutral fixtures: what a safe level of 0 V, a ring-down of 0 s and diagonal matrices hide.
    ("drivers/bench/bursts.py", "[volts - offset for volts in playing]", "playing"),
    ("labrhel/executor/dry.py", " + capabilities.pause", ""),
    ("labrhel/rig/calibrated.py", "array[index] = array[index[::-1]] =", "array[index] ="),
    # Only the first step.
    ("labrhel/learning/optimizers.py", 'buffers["v"] / (1 - self._beta2**self._told)', 'buffers["v"] / (1 - self._beta2)'),  # noqa: E501
    ("labrhel/learning/optimizers.py", 'self._beta2 * buffers["v"] + (1', '0 * buffers["v"] + (1'),
    ("labrhel/learning/train.py", "per_epoch = count // batch", "per_epoch = max(1, count // batch - 1)"),
    ("labrhel/session/health.py", "self._row >= section.steps", "self._row > section.steps"),
    ("labrhel/executor/watchdog.py", "allowed = self._patience +", "allowed = 0.1 * self._patience +"),
    # Statistics.
    ("labrhel/learning/gradient.py", "self.repeats - 1)", "self.repeats)"),
    ("protocols/audit.py", "freedom = self.samples - 1", "freedom = self.samples"),
    ("protocols/echoes/bias.py", "2**plan.estimator.order - 1", "2**plan.estimator.order"),
    # Read-back.
    (
        "labrhel/executor/compiling.py",
        "found = self._wiring.to_parameters(achieved)",
        "found = set_to",
    ),
)  # fmt: skip
"""One fault at least of each family that was once seen to survive: file, text that is there once, text in its place."""

_OPTIMIZERS = "labrhel/learning/optimizers.py"
_AIM, _CAUSES, _GROWTH = "protocols/echoes/aim.py", "protocols/echoes/causes.py", "protocols/echoes/growth.py"
_OPTIONS, _PLAN = "protocols/echoes/options.py", "protocols/echoes/plan.py"
_PREPARATION = "protocols/echoes/preparation.py"
_BEGINS = "it is where a fit begins, and not where it ends"
_LAST_BIT = "nothing that was measured is at the limit to the last bit"
_OUT_OF_BOUNDS = "one pair is within the bounds, and so is none"
_NO_ZERO = "however small, it only keeps a zero from being divided by"

EQUIVALENT: dict[tuple[str, str], str] = {
    (
        _PREPARATION,
        "found, *_ = (leastsq(missed, start, Dfun=slopes, full_output=True, col_deriv=True, "
        "ftol=_DONE, gtol=_DONE, maxfev=_ROUNDS)) # fmt: skip",
    ): "what is left of the squares ends the fit before",
    (
        _PREPARATION,
        "found, *_ = (leastsq(missed, start, Dfun=slopes, full_output=True, col_deriv=True, "
        "ftol=_DONE, xtol=_DONE, maxfev=_ROUNDS)) # fmt: skip",
    ): "what is left of the squares ends the fit before",
    (
        _PREPARATION,
        "found, *_ = (leastsq(missed, start, Dfun=slopes, full_output=True, col_deriv=True, "
        "ftol=_DONE, xtol=_DONE, gtol=_DONE)) # fmt: skip",
    ): "the fit ends long before",
    (
        _PREPARATION,
        "if not np.isfinite([np.sum(missed(start) ** (3)), np.sum(slopes(start) ** 2)]).all():",
    ): "a cube is no number where a square is none",
    (
        _PREPARATION,
        "while (steps <= longest) and found.peak > LARGEST_PEAK * forward_peak:",
    ): "what is as long as it can be is made once more, and does not pay",
    (
        "protocols/echoes/floors.py",
        'added = PassCapture({name: Trace(error[None], "", (1.0), plan.task.step) for name, error in errors.items()})',
    ): "nobody asks when its samples were",
    (
        "protocols/rhel.py",
        'measured["predicted_bias"] = _norm(bias) / (_norm({name: values[name] for name in bias}) or (2.0))',
    ): "a gradient that is zero has a bias of zero",
    (_PREPARATION, "v = (seen[:, min(2, count - 1)] - seen[:, 0]) / ((max(2, count - 1)) * step)"): _BEGINS,
    (_PREPARATION, "v = (seen[:, min(2, count - 1)] - seen[:, 0]) / ((min(2, count - 1) / step))"): _BEGINS,
    (
        "protocols/echoes/blocks.py",
        "return (relative_error(blocks, floor()) < options.precision)",
    ): _LAST_BIT,
    ("protocols/echoes/measurement.py", "self._eps = (2.0)"): "the first block sets it",
    (
        "protocols/echoes/measurement.py",
        "return (block.retrace_error >= max(self._locked_at, block.response_ratio ** 2, noise_floor(self.plan, "
        "block.batch.passes)))",
    ): _LAST_BIT,
    (_PREPARATION, "v = (seen[:, (max(2, count - 1))] - seen[:, 0]) / (min(2, count - 1) * step)"): _BEGINS,
    (_PREPARATION, "start = np.concatenate([seen[:, (1)] - step / 2 * v, mass * v])"): _BEGINS,
    (_PREPARATION, "start = np.concatenate([seen[:, 0] - (step / 2 / v), mass * v])"): _BEGINS,
    (
        _PLAN,
        "found, straight = (self._observed(forward, q, v, eps, share) for share in ((2.0), self._small_share(q)))",
    ): "of squares every share says the same, and of what bends the small one counts",
    (
        _OPTIONS,
        'most = f"{MOST_PAIRS} at most" if self.directed > (1) else "0 or more"',
    ): _OUT_OF_BOUNDS,
    (
        _OPTIONS,
        'most = f"{MOST_PAIRS} at most" if (self.directed >= 0) else "0 or more"',
    ): _OUT_OF_BOUNDS,
    (_PLAN, "return _SMALL * motion / answer if (answer >= _SMALL * motion > 0) else 1.0"): "it is 1 there either way",
    (
        _PLAN,
        "read = capture.passes if self.reads_preparation and self.reversal is Reversal.BY_DRIVE else "
        "capture.passes[(1):]",
    ): "an echo is the second of two passes",
    (
        "protocols/echoes/lock.py",
        "correction: list[Array] = [(np.ones_like(drive.force)) for drive in drives]",
    ): "the first round replaces it",
    (
        "protocols/echoes/lock.py",
        "if min(misses) <= max(tolerance, floor) or len(misses) >= most or (gain <= _LEAST_GAIN):",
    ): "gains are powers of two",
    (
        "protocols/echoes/lock.py",
        "still = (np.ones(model.size))",
    ): "the same start is in both forces, and their difference counts",
    ("protocols/echoes/lock.py", "shots, ran, gain = 0, 0, (2.0)"): "the first round that is taken sets it to 1",
    (
        "protocols/echoes/measurement.py",
        "settled = (1 / _TOLERANCE < ratio / target <= _TOLERANCE)",
    ): "no rig responds by three times to the last bit",
    (
        "protocols/echoes/blocks.py",
        'total = np.zeros_like(batches[(1)].direct["readout"])',
    ): "all batches have one shape",
    (
        "labrhel/store/_checkpoints.py",
        'flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", (1))',
    ): "1 is the flag for writing, which is set; Windows has O_BINARY",
    (
        "labrhel/store/_journal.py",
        'self._file = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", (1)))',
    ): "1 is the flag for writing, which is set; Windows has O_BINARY",
    (
        "labrhel/store/_arrays.py",
        "array = (np.load(path, mmap_mode='r'))",
    ): "numpy unpickles nothing by itself; it is said all the same, since records come from other people",
    (
        "labrhel/store/_captures.py",
        "kind = (values.shape, values.dtype, (codes is None))",
    ): "it tells traces with codes from those without, whatever it is called",
    (
        "labrhel/store/_verifying.py",
        'heads = [head for head, _ in index.of_kind("checkpoint")][:-(4):-1]',
    ): "the third state from the end has been written over",
    (
        "labrhel/store/_journal.py",
        "if (written <= size): # a full disk, for one, takes a part; the next attempt then says why",
    ): "after all was written the rest is empty",
    ("labrhel/store/manifest.py", "seed: int = (1)"): "the schema is asked whether a manifest fits, never for a value",
    ("labrhel/store/manifest.py", "steps: int = (1)"): "the schema is asked whether a manifest fits, never for a value",
    ("labrhel/safety/holding.py", "os.ftruncate(file, (1))"): "what is left of it is written over",
    ("labrhel/executor/retry.py", "for attempt in range(1, self._attempts + (2)):"): "the last attempt raises",
    (
        "labrhel/store/reader.py",
        "table = np.stack(vectors) if vectors else np.empty(((1), len(names)))",
    ): "without a point there are no names, and so no columns",
    (
        "labrhel/store/reader.py",
        "for head in heads[:-(4):-1]:",
    ): "the third state from the end has been written over",
    ("labrhel/learning/estimator.py", "if (level >= 0)"): "an echo less itself is nothing",
    (
        "labrhel/learning/gradient.py",
        "share = np.divide(spread, total, out=(np.zeros_like(total)), where=total > 0)",
    ): "an interval of no width has none whatever its degrees of freedom",
    (
        _OPTIMIZERS,
        "(minimize(objective, self._start / self._first, jac=True, bounds=[(low / self._first, high / self._first) for "
        "low, high in zip(*self._bounds, strict=True)], options=options))",
    ): "with bounds SciPy takes L-BFGS-B by itself",
    (_OPTIMIZERS, "_is_astray = (True)"): "before the first step the last good point is where it stands",
    (
        _OPTIMIZERS,
        'return self._ended[1] if (self.done or self._ended is not None) else ""',
    ): "it has ended where it is done, and nowhere else",
    (_AIM, "if point.error <= GOOD and (hidden < GOOD):"): _LAST_BIT,
    (_AIM, "if (is_lawful and (1 / _NEAR < x <= _NEAR)) or point.aim(bias).error <= GOOD:"): _LAST_BIT,
    (_AIM, "if (is_lawful and (1 / _NEAR <= x < _NEAR)) or point.aim(bias).error <= GOOD:"): _LAST_BIT,
    (_AIM, "return bias, not ((seen >= 4 * spread) and bias > _LAWFUL)"): _LAST_BIT,
    (_AIM, "return bias, not (seen > 4 * spread and (bias >= _LAWFUL))"): _LAST_BIT,
    (_AIM, "while len(samples) < aim.pairs or (len(samples) < _BELIEVED and (aim.noise >= GOOD)):"): _LAST_BIT,
    (_AIM, "return float(np.mean([item.response for item in self.samples])) or (2e-300)"): _NO_ZERO,
    (_AIM, "bias = max(bias, 0.05 * self.error, (2e-12))"): _NO_ZERO,
    ("protocols/echoes/blocks.py", "for place in range(len(batches[(1)].slopes)):"): "all batches have one shape",
    (
        _CAUSES,
        "list(combinations_with_replacement(range(n), 2)) if (n * (n + 1) / 2 < _MOST) else [(i, i) for i in range(n)]",
    ): "no rig has that many pairs",
    (
        _CAUSES,
        "list(combinations_with_replacement(range(n), 2)) if n * (n + (2)) / 2 <= _MOST else [(i, i) "
        "for i in range(n)]",
    ): "the pairs of ten oscillators are within the limit either way, those of eleven beyond it",
    (_CAUSES, "total = float(np.mean([block.reading.missed for block in blocks])) or (2e-300)"): _NO_ZERO,
    (
        _CAUSES,
        "white = min(1.0, sum(_white(item) for item in blocks[0].reading.miss) / "
        "max(blocks[0].reading.missed, (2e-300)))",
    ): _NO_ZERO,
    (_CAUSES, "if (random >= _CHANGES * left):"): _LAST_BIT,
    (
        _CAUSES,
        "found[i] = least if (np.abs(gaps / least - np.round(gaps / least)).max() <= 0.001) else 0.0",
    ): _LAST_BIT,
    (
        _CAUSES,
        "return max(0.0, 1 - (1 - share) * float(rest @ rest) / (float(self._phi @ self._phi) or (2e-300)))",
    ): _NO_ZERO,
    (
        _CAUSES,
        "columns = (middles[:, None] - np.arange(-radius, radius + 1))",
    ): "the weights are the same from either side",
    ("protocols/echoes/floors.py", "random = np.random.default_rng((1))"): "one draw is as good as any",
    (_GROWTH, "random = np.random.default_rng((1))"): "one draw is as good as any",
    (_GROWTH, "ratio = float(np.sqrt(grown / max(size, (2e-300))))"): _NO_ZERO,
    (
        _GROWTH,
        "past = np.zeros(((3), *found.shape[:2])) # the deviations at the two kicks before a block",
    ): "a third is not read",
    (
        _GROWTH,
        "here = np.concatenate([(np.ones((1, n, n))), here])",
    ): "it multiplies the deviation before the first kick, which is zero",
}
"""Faults that change nothing: (file, its line with the fault) -> why."""


def core_files(tree: Path, only: str = "") -> list[str]:
    """The files of the core whose path begins with `only`, from the root of the tree."""
    found = []
    for name in CORE:
        place = tree / name
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    paths = [file.relative_to(tree).as_posix() for file in found if file.name != "__init__.py"]
    return [path for path in paths if path.startswith(only)]


def mirrors_of(tree: Path, path: str) -> tuple[str, ...]:
    """The mirror of a file, if there is one, and what the table adds, in the order of the table if it names both."""
    file = Path(path)
    mirror = Path("tests", *file.parts[:-1], f"test_{file.stem.lstrip('_')}.py").as_posix()
    more = MORE_TESTS.get(path, MORE_TESTS.get(file.parent.as_posix(), ()))
    return more if mirror in more or not (tree / mirror).exists() else (mirror, *more)


def chosen_faults(tree: Path, only: str = "") -> list[Fault]:
    """Those of the table; ValueError where a text is not, or not once, in its file."""
    found = []
    for path, before, after in CHOSEN:
        if not path.startswith(only):
            continue
        source, text = (tree / path).read_bytes(), before.encode()
        if source.count(text) != 1:
            raise ValueError(f"{before!r} is {source.count(text)} times in {path}; choose that fault anew")
        start = source.index(text)
        found.append(Fault.of(path, source, start, start + len(text), after))
    return found
