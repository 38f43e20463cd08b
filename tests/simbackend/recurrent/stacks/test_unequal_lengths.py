"""Series of different lengths in one batch: what stands behind a shorter one changes nothing."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.data.samples import Samples  # noqa: E402
from labrhel.testing.command_line import call, only_run  # noqa: E402
from simbackend.recurrent.stacks.hssm import HSSM, Block, Classify, Estimate  # noqa: E402
from simbackend.testing.torch_units import UNITS, engine  # noqa: E402

LENGTHS = (12, 7, 9)


def stack(by: str, head: torch.nn.Module) -> HSSM:
    torch.manual_seed(0)
    blocks = [
        Block(5, 4, lambda size: UNITS["damped_nonlinear"](engine("damped_nonlinear", by), size), 0.0) for _ in "ab"
    ]
    return HSSM(2, blocks, head, time_channel=True).double()


def series() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=(length, 2)) for length in LENGTHS]


def batch() -> torch.Tensor:
    targets = tuple(np.array(0) for _ in LENGTHS)
    return torch.from_numpy(Samples(tuple(series()), targets).stacked()[0])


@pytest.mark.parametrize("head", [Classify(5, 3), Estimate(5, 1)])
def test_each_series_gives_what_it_gives_alone(head: torch.nn.Module) -> None:
    model = stack("adjoint", head).eval()
    together = model(batch())
    for row, values in zip(together, series(), strict=True):
        torch.testing.assert_close(row, model(torch.from_numpy(values)[None])[0])


@pytest.mark.parametrize("by", ["echoes", "bptt"])
def test_what_stands_behind_a_series_has_no_part_in_statistics_and_gradients(by: str) -> None:
    found = []
    for more in (0, 5):  # the same batch with a longer tail behind every series
        model = stack(by, Classify(5, 3))
        u = torch.cat([batch(), torch.full((3, more, 2), torch.nan, dtype=torch.float64)], dim=1)
        (model(u)[:, 0] * torch.tensor([1.0, -2.0, 0.5])).sum().backward()
        statistics = [value.clone() for name, value in model.named_buffers() if "running" in name]
        found.append([parameter.grad for parameter in model.parameters()] + statistics)
    for short, long in zip(*found, strict=True):
        torch.testing.assert_close(short, long, rtol=1e-7, atol=1e-9)


def test_the_statistics_are_those_of_all_samples_that_are_there() -> None:
    block = Block(2, 3, lambda size: UNITS["linear"](engine("linear", "adjoint"), size), 0.0).double()
    u = batch()
    block(u.nan_to_num(99.0), ~u.isnan().all(dim=-1))
    whole = torch.from_numpy(np.concatenate(series()))
    torch.testing.assert_close(block.norm.running_mean, 0.1 * whole.mean(0))


def test_series_with_a_number_each_are_learned_from_a_ts_file_in_the_split_it_was_given(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, count in (("TRAIN", 20), ("TEST", 4)):
        lines = ["@problemName Levels", "@equalLength false", "@targetLabel true", "@data"]
        for _ in range(count):
            level = random.uniform(-1, 1)
            wave = level + 0.05 * random.normal(size=random.integers(10, 25))
            lines.append(",".join(f"{value:.4f}" for value in wave) + f":{100 + 10 * level:.4f}")
        (tmp_path / f"Levels_{part}.ts").write_text("\n".join(lines) + "\n")
    file = tmp_path / "levels.yaml"
    file.write_text(
        "model: {kind: hssm, unit: damped, blocks: 1, hidden: 4, state: 4, dropout: 0}\n"
        "protocol: {engine: adjoint}\n"
        "optimizer: {rate: 0.03, epochs: 12, batch: 5, seeds: [0]}\n"
        "data: {file: Levels_TRAIN.ts, split: given}\n"
    )
    assert call("run", file, "--runs", tmp_path / "runs") == 0
    error = only_run(tmp_path / "runs").scalars()["mean_square_error"][-1]
    assert error < 0.5  # of the variance; a constant guess has 1


def test_split_given_belongs_to_what_has_a_test_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "made.yaml"
    file.write_text(
        "model: {kind: hssm, blocks: 1, hidden: 2, state: 2}\ndata: {task: {kind: decay, steps: 9}, split: given}\n"
    )
    assert call("run", file, "--runs", tmp_path / "runs") == 2
    assert "split: given belongs to a file or to images" in capsys.readouterr().err
