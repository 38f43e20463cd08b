import copy
import math

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from torch import nn  # noqa: E402
from torch.nn.functional import nll_loss  # noqa: E402

from simbackend.recurrent.stacks.hssm import HSSM, Block, Classify, Regress  # noqa: E402
from simbackend.recurrent.stacks.paper import PAPER  # noqa: E402
from simbackend.recurrent.stacks.units import Beginning, Size  # noqa: E402
from simbackend.testing.torch_units import ENGINES, UNITS, PlainUnit, TapeEngine, cosine, engine  # noqa: E402

KINDS = ("linear", "nonlinear")
TRIED = [(kind, by) for kind in KINDS for by in ENGINES] + [("damped", "echoes"), ("damped_nonlinear", "echoes")]


def stack(kind: str, blocks: int, head: nn.Module, *, dropout: float = 0.0, by: str = "numpy") -> HSSM:
    def make_unit(size: Size) -> nn.Module:
        return UNITS[kind](engine(kind, by), size)

    return HSSM(3, [Block(5, 4, make_unit, dropout) for _ in range(blocks)], head).double()


def plain(model: HSSM) -> HSSM:
    """The same stack with every unit unrolled, for torch to differentiate."""
    twin = copy.deepcopy(model)
    for block in twin.blocks:
        block.unit = PlainUnit(block.unit)
    return twin


def gradients(model: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters)
    return {name.replace("unit.unit", "unit"): value for name, value in zip(names, found, strict=True)}


@pytest.mark.parametrize(("kind", "by"), TRIED)
@pytest.mark.parametrize("head", ["classification", "regression"])
def test_six_blocks_have_the_gradient_of_automatic_differentiation_in_every_parameter(
    kind: str, by: str, head: str
) -> None:
    torch.manual_seed(0)
    u = torch.randn(4, 40, 3, dtype=torch.float64)
    if head == "classification":
        model, target = stack(kind, 6, Classify(5, 3), by=by), torch.tensor([0, 1, 2, 0])
    else:
        model, target = stack(kind, 6, Regress(5, 2, 10), by=by), torch.randn(4, 4, 2, dtype=torch.float64)
    found, expected = (
        gradients(each, nll_loss(each(u), target) if head == "classification" else ((each(u) - target) ** 2).mean())
        for each in (model, plain(model))
    )
    assert found.keys() == expected.keys()
    cosines = {name: cosine(found[name], expected[name]) for name in found}
    assert min(cosines.values()) >= 0.999999, cosines


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ENGINES)
def test_chaining_goes_through_a_graph_of_parallel_units_a_merge_and_a_skip(kind: str, by: str) -> None:
    class Graph(nn.Module):
        """u -> two units side by side -> merged by a product -> a third unit, with u and one branch skipping ahead."""

        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.last = (UNITS[kind](engine(kind, by), Size(3, 4, 3)) for _ in range(3))
            self.mix = nn.Linear(3, 3)

        def forward(self, u: torch.Tensor) -> torch.Tensor:
            left, right = self.left(u), self.right(torch.tanh(self.mix(u)))
            return self.last(left * right + u) + left

    torch.manual_seed(0)
    graph = Graph().double()
    twin = copy.deepcopy(graph)
    for name in ("left", "right", "last"):
        setattr(twin, name, PlainUnit(getattr(twin, name)))
    u = torch.randn(2, 40, 3, dtype=torch.float64)
    found = list(gradients(graph, (graph(u) ** 2).sum()).values())
    expected = list(gradients(twin, (twin(u) ** 2).sum()).values())
    order = [name for name, _ in graph.named_parameters()]
    assert all(cosine(a, b) >= 0.999999 for a, b in zip(found, expected, strict=True)), order


def test_a_classifier_gives_log_probabilities_and_a_regressor_every_output_step() -> None:
    torch.manual_seed(0)
    u = torch.randn(2, 12, 3, dtype=torch.float64)
    torch.testing.assert_close(stack("linear", 1, Classify(5, 4))(u).exp().sum(1), torch.ones(2, dtype=torch.float64))
    outputs = stack("linear", 1, Regress(5, 2, 4))(u)
    assert outputs.shape == (2, 3, 2)
    assert float(outputs.detach().abs().max()) < 1


def test_a_regressor_reads_only_what_has_happened() -> None:
    torch.manual_seed(0)
    model = stack("nonlinear", 2, Regress(5, 1, 4)).eval()
    u = torch.randn(1, 12, 3, dtype=torch.float64)
    later = u.clone()
    later[:, 8:] += 1
    torch.testing.assert_close(model(u)[:, :2], model(later)[:, :2])
    assert not torch.allclose(model(u)[:, 2], model(later)[:, 2])


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = stack("linear", 2, Classify(5, 4), dropout=0.5)
    u = torch.randn(3, 12, 3, dtype=torch.float64)
    assert not torch.allclose(model(u), model(u))
    model.eval()
    torch.testing.assert_close(model(u), model(u))


def test_the_time_channel_is_0_to_1_over_the_sequence_and_comes_first() -> None:
    def model(channels: int, *, time_channel: bool) -> HSSM:
        torch.manual_seed(0)
        blocks = [Block(5, 4, lambda size: UNITS["linear"](TapeEngine("linear"), size))]
        return HSSM(channels, blocks, Classify(5, 2), time_channel=time_channel)

    u = torch.randn(2, 5, 3)
    time = torch.tensor([0, 0.25, 0.5, 0.75, 1]).expand(2, 5)[..., None]
    expected = model(4, time_channel=False).eval()(torch.cat([time, u], dim=-1))
    torch.testing.assert_close(model(3, time_channel=True).eval()(u), expected)


def test_a_complex_unit_is_the_complex_recurrence_and_has_its_gradient() -> None:
    torch.manual_seed(0)
    unit = UNITS["complex"](engine("complex", "echoes"), Size(3, 4, 2)).double()
    u = torch.randn(2, 30, 3, dtype=torch.float64)
    found = unit(u)
    x = unit.coordinates
    d, stiffness = torch.sigmoid(x["step"]), torch.nn.functional.softplus(x["frequency"])
    drive, read = torch.complex(x["B"][:4], x["B"][4:]), torch.complex(x["C"][:, :4], -x["C"][:, 4:])
    q = p = torch.zeros(2, 4, dtype=torch.complex128)
    outputs = []
    for k in range(u.shape[1]):
        q = q + d / 2 * p
        p = p + d * (u[:, k].to(drive.dtype) @ drive.T - stiffness * q)
        q = q + d / 2 * p
        outputs.append((q @ read.T).real)
    expected = torch.stack(outputs, dim=1)
    torch.testing.assert_close(found, expected)
    by_echoes, exact = (gradients(unit, outputs.square().mean()) for outputs in (found, expected))
    for name, value in exact.items():
        torch.testing.assert_close(by_echoes[name], value, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", PAPER)
def test_every_configuration_of_the_paper_can_be_built(name: str) -> None:
    row = PAPER[name]

    def make_unit(size: Size) -> nn.Module:
        return UNITS["linear"](TapeEngine("linear"), size)

    head = Regress(row.hidden, 1, row.output_step) if row.output_step else Classify(row.hidden, 2)
    blocks = [Block(row.hidden, row.state, make_unit) for _ in range(row.blocks)]
    model = HSSM(6, blocks, head, time_channel=row.time_channel)
    assert model(torch.randn(2, row.output_step or 3, 6)).shape[0] == 2


def test_step_and_friction_begin_where_they_are_told_and_stay_there_if_they_are_not_trained() -> None:
    beginning = Beginning(step=0.25, friction=0.01, trains_friction=False)
    unit = UNITS["damped"](engine("damped", "adjoint"), Size(3, 4, 2), beginning).double()
    optimizer = torch.optim.Adam(unit.parameters(), lr=0.1)
    for _ in range(2):
        theta = {name: value.detach().clone() for name, value in unit.theta().items()}
        assert torch.allclose(theta["g"], torch.full((4,), 0.01, dtype=torch.float64), rtol=1e-4)
        optimizer.zero_grad()
        (unit(torch.ones(2, 20, 3, dtype=torch.float64)) ** 2).sum().backward()
        optimizer.step()
    assert not torch.allclose(theta["d"], torch.full((4,), 0.25, dtype=torch.float64), rtol=1e-4)


def test_drawn_frictions_cover_short_and_long_memories() -> None:
    torch.manual_seed(0)
    friction = UNITS["damped_nonlinear"](engine("damped_nonlinear", "adjoint"), Size(3, 200, 2)).theta()["g"]
    assert 0.0099 < float(friction.detach().min()) < 0.012
    assert 0.8 < float(friction.detach().max()) <= 1.001


def test_what_is_drawn_between_two_numbers_has_a_uniform_logarithm() -> None:
    beginning = Beginning(step=(0.3, 0.9), friction=(0.3, 2.0), stiffness=(1e-4, 1.0), trains_stiffness=False)
    torch.manual_seed(0)
    for kind, stiffness in (("damped", "A"), ("damped_nonlinear", "alpha")):
        unit = UNITS[kind](engine(kind, "adjoint"), Size(3, 2000, 2), beginning)
        theta = {name: value.detach() for name, value in unit.theta().items()}
        for name, low, high in (("d", 0.3, 0.9), ("g", 0.3, 2.0), (stiffness, 1e-4, 1.0)):
            share = (theta[name] / low).log() / math.log(high / low)
            assert -1e-3 < float(share.min()) < 0.01 < 0.99 < float(share.max()) < 1.001
            assert float(share.mean()) == pytest.approx(0.5, abs=0.03)
        assert sum(not parameter.requires_grad for parameter in unit.parameters()) == 1
