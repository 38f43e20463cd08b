"""A sweep carried out: what is missing is run, what died goes on to the same bits, what failed stops nothing else."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from labrhel.safety import estop
from labrhel.safety.holding import is_held
from labrhel.store import Policy, RunReader, create_run
from labrhel.sweeps.axes import Axis, axes_of
from labrhel.sweeps.carrying import carry_out, state_of
from labrhel.sweeps.child import Ended, Task
from labrhel.sweeps.crews import Forked
from labrhel.sweeps.figures import dataset, figures_of
from labrhel.sweeps.planning import Sweep, SweepPoint, planned
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import small
from labrhel.testing.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")

KILLS = int(os.environ.get("LABRHEL_SWEEP_KILLS", "3"))
"""How often a sweep is killed; `make targets` takes 50."""

STEPS = int(os.environ.get("LABRHEL_SWEEP_STEPS", "100"))
"""Of each point that is killed; `make targets` takes 300."""
LONG = 5 * PATIENCE
"""Seconds for a process, its nursery and its points to start, on a machine that is busy with other things."""

WORDS = ("small.yaml", "--set", "optimizer.seed=0", "--zip", "protocol.eps=1e-3,1e-2", "--zip",
         "data.teacher.spacing=0.3,9")  # fmt: skip
ZIPS = [word for word in WORDS if "," in word]
SETS = ("optimizer.seed=0..1", "protocol.eps=1e-3,1e-2")


def folders(root: Path) -> dict[str, bytes]:
    """The journal of every run."""
    return {path.parent.name: path.read_bytes() for path in root.glob("[!.]*/journal.log")}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, tuple[int, str, str]]:
    """A sweep of two points, one of which cannot be trained, and what the command said."""
    shell = Shell(tmp_path_factory.mktemp("swept"))
    shell.write(small(**{"steps: 12": "steps: 2"}))
    return shell, shell("sweep", *WORDS)


class Controlled:
    """A crew whose points end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.futures: dict[str, Future[Ended]] = {}
        self.arrived = threading.Condition()

    def submit(self, task: Task) -> Future[Ended]:
        with self.arrived:
            self.begun.append(task.run)
            self.arrived.notify_all()
            return self.futures.setdefault(task.run, Future())

    def under_way(self) -> set[str]:
        return set(self.begun)

    def signal(self, number: int) -> None:
        """Nobody is there."""

    def close(self) -> None:
        """Nothing is held."""

    def leave(self) -> None:
        """Nothing is held."""

    def wait_for(self, *runs: str) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.begun == list(runs), PATIENCE), self.begun


def made_of(*rigs: str) -> Sweep:
    points = tuple(SweepPoint(f"p{number}", (number,), rig) for number, rig in enumerate(rigs))
    return Sweep("made", (Axis(("n",), tuple((number,) for number in range(len(rigs)))),), points)


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_rig_that_is_no_simulation_has_one_point_at_a_time_and_others_go_on_beside_it(tmp_path: Path) -> None:
    crew, sweep = Controlled(), made_of("bench:a.yaml", "bench:a.yaml?traffic=w", "sim:", "bench:b.yaml", "sim:")
    thread = in_background(lambda: carry_out(sweep, tmp_path, crew, None))
    crew.wait_for("p0", "p2", "p3", "p4")
    crew.futures["p2"].set_result(Ended(3, "error: no"))
    crew.futures["p0"].set_result(Ended(3, "error: no"))
    crew.wait_for("p0", "p2", "p3", "p4", "p1")
    for run in ("p1", "p3", "p4"):
        crew.futures[run].set_result(Ended(3, "error: no"))
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_no_more_points_are_under_way_than_there_are_workers(tmp_path: Path) -> None:
    crew = Controlled()
    thread = in_background(lambda: carry_out(made_of("sim:", "sim:", "sim:"), tmp_path, crew, 2))
    crew.wait_for("p0", "p1")
    crew.futures["p1"].set_result(Ended(3, "error: no"))
    crew.wait_for("p0", "p1", "p2")
    for run in ("p0", "p2"):
        crew.futures[run].set_result(Ended(3, "error: no"))
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_while_the_emergency_stop_is_latched_nothing_begins(tmp_path: Path, state_of_its_own: Path) -> None:
    estop.press()
    states = carry_out(made_of("sim:"), tmp_path, Controlled(), 2)
    assert "labrhel reset" in states["p0"].words


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "tcp://127.0.0.1:8786", "inproc://here"])
def test_a_scheduler_without_tls_is_refused_before_anything_is_sent(tmp_path: Path, address: str) -> None:
    shell = Shell(tmp_path)
    shell.write(small())
    status, _, err = shell("sweep", "small.yaml", "--set", "optimizer.seed=0..1", "--scheduler", address)
    assert status == 2
    assert "without TLS runs anybody's code" in err


def test_every_point_has_its_run_and_the_table_says_what_came_of_it(swept: tuple[Shell, tuple[int, str, str]]) -> None:
    shell, (_, out, _) = swept
    assert "2 points: 1 done, 1 missing" in out
    sweep = planned(shell.folder / "small.yaml", axes_of(["optimizer.seed=0"], ZIPS))
    figures = figures_of(sweep, shell.folder / "runs")
    assert figures.keys == ["protocol.eps", "data.teacher.spacing"]
    assert figures.fixed == {"optimizer.seed": 0}
    done, missing = figures.points
    reader = RunReader(shell.folder / "runs" / done.point.run)
    assert done.figures["loss"] == reader.scalars()["loss"][np.isfinite(reader.scalars()["loss"])][-1]
    assert reader.manifest["configuration"]["protocol"]["eps"] == 1e-3
    assert reader.manifest["seed"] == 0
    found = dataset(figures)
    assert found.sizes == {"protocol.eps": 2}
    assert found.loss.sel({"protocol.eps": 1e-3}).item() == done.figures["loss"]
    assert np.isnan(found.loss[1])
    assert found["data.teacher.spacing"].values.tolist() == [0.3, 9.0]
    assert found["optimizer.seed"].item() == 0
    assert found.test_test.attrs["units"] == "V"
    assert missing.status == found.status[1].item() == "missing"


def test_the_same_call_again_does_nothing_that_is_done_and_gives_the_same_table(
    swept: tuple[Shell, tuple[int, str, str]],
) -> None:
    shell, (_, first, _) = swept
    before, content = folders(shell.folder / "runs"), table(shell.folder / "runs")
    status, again, err = shell("sweep", *WORDS)
    assert (status, again) == (3, first), err
    assert (folders(shell.folder / "runs"), table(shell.folder / "runs")) == (before, content)


def test_a_point_is_the_run_that_a_user_would_have_made(swept: tuple[Shell, tuple[int, str, str]]) -> None:
    shell, _ = swept
    words = ("run", "small.yaml", "--set", "protocol.eps=1e-3", "--seed", 0, "--runs", "alone", "--no-plot")
    assert shell(*words)[0] == 0
    (alone,) = (shell.folder / "alone").glob("*-small-*")
    (point,) = (shell.folder / "runs").glob("small-*")
    np.testing.assert_array_equal(RunReader(point).scalars()["loss"], RunReader(alone).scalars()["loss"])


def test_a_point_that_fails_is_one_line_with_its_reason_and_the_rest_is_done(
    swept: tuple[Shell, tuple[int, str, str]],
) -> None:
    _, (status, out, _) = swept
    assert status == 3
    (line,) = [line for line in out.splitlines() if line.startswith("missing: ")]
    assert line.startswith("missing: protocol.eps=0.01 data.teacher.spacing=9: --set: ")
    assert "the integrator step 9 is unstable" in line


def client(folder: Path, *sets: str) -> subprocess.Popen[str]:
    """`labrhel sweep` as a process of its own."""
    words = [word for change in sets for word in ("--set", change)]
    return subprocess.Popen(
        [sys.executable, "-m", "labrhel", "sweep", "small.yaml", *words, "--workers", "2"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def writing(root: Path) -> list[int]:
    """The processes that write a run below `root`."""
    locks = [lock for lock in root.glob("[!.]*/writer.lock") if is_held(lock)]
    return [json.loads(text)["pid"] for lock in locks if (text := lock.read_text())]


def steps_taken(folder: Path) -> list[int]:
    """The steps that were acknowledged, in order."""
    return [head.step for head in RunReader(folder).operations() if head.kind == "checkpoint"]


def nursery_of(pid: int) -> list[int]:
    """The child processes of a client, where the system says: its nursery, once it has one."""
    found = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(word) for text in found for word in text.split()]


def table(root: Path) -> bytes:
    (file,) = root.glob("sweep-*.csv")
    return file.read_bytes()


def written(root: Path) -> int:
    """Bytes in the journals of all runs."""
    return sum(file.stat().st_size for file in root.glob("[!.]*/journal.log"))


def killed_at(folder: Path, rng: random.Random, whole: int) -> str:
    """Start a sweep, kill -9 one of its processes at some instant, and wait until nobody writes; whom it was.

    The instant is when so many bytes of the `whole` are written.
    """
    root, process = folder / "runs", client(folder, *SETS)
    goal = written(root) + 0.5 * rng.random() * (whole - written(root))

    def far_enough() -> bool:
        return process.poll() is not None or (written(root) > goal and bool(writing(root)))

    wait_for(far_enough, "a sweep that goes on", LONG)
    whom = rng.choice(["client", "nursery", "point"])
    victims = {"client": [process.pid], "nursery": nursery_of(process.pid), "point": writing(root)}[whom]
    for victim in victims[:1]:
        os.kill(victim, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not writing(root), "points that end when who began them is gone", LONG)
    return whom


@pytest.mark.slow
def test_kill_9_of_anyone_at_any_instant_and_the_same_call_again_gives_the_same_table(tmp_path: Path) -> None:
    rng, tables = random.Random(KILLS), []
    crew = Forked()
    for name, kills in (("whole", 0), ("killed", KILLS)):
        file = tmp_path / name / "small.yaml"
        file.parent.mkdir()
        file.write_text(small(**{"steps: 12": f"steps: {STEPS}"}), encoding="utf-8")
        for _ in range(kills):
            killed_at(file.parent, rng, written(tmp_path / "whole" / "runs"))
        sweep = planned(file, axes_of(SETS, []), Path("calibrations"))
        states = carry_out(sweep, file.parent / "runs", crew, 2)
        assert [state.status for state in states.values()] == ["done"] * 4
        tables.append(figures_of(sweep, file.parent / "runs").table())
    crew.close()
    assert tables[0] == tables[1]
    for folder in (tmp_path / "killed" / "runs").glob("small-*"):
        taken = steps_taken(folder)
        assert sorted(set(taken)) == list(range(1, STEPS + 1))
        assert len(taken) <= STEPS + 2  # each step once, the last one again with the results of the tests


def test_ctrl_c_ends_every_point_in_order_and_the_same_call_goes_on(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(small(**{"steps: 12": "steps: 100000"}), encoding="utf-8")
    process, root = client(tmp_path, "optimizer.seed=0..3"), tmp_path / "runs"
    wait_for(
        lambda: len(writing(root)) == 2 and all(steps_taken(run) for run in root.glob("small-*")), "two points", LONG
    )
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on" in err
    assert [state_of(run).status for run in root.glob("small-*")] == ["interrupted", "interrupted"]
    assert not writing(root)


def test_a_point_that_another_program_writes_is_waited_for_and_not_begun_again(tmp_path: Path) -> None:
    sweep, crew, told = made_of("sim:", "sim:"), Controlled(), []
    other = create_run(tmp_path, "p0", {}, "", Policy(None), identity="p0")
    thread = in_background(lambda: carry_out(sweep, tmp_path, crew, 2, told=told.append))
    crew.wait_for("p1")
    wait_for(lambda: told[-1].waits == 1, "a point that is waited for")
    other.end("done")
    crew.futures["p1"].set_result(Ended(3, "error: no"))
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert crew.begun == ["p1"]
    assert told[-1].good == 1
