import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from simbackend.recurrent.engines.echoes import EchoEngine  # noqa: E402
from simbackend.recurrent.models.linear_hru import LinearHRU  # noqa: E402
from simbackend.recurrent.stacks.layer import GradientWarning, Unit, run_unit  # noqa: E402
from simbackend.recurrent.stacks.units import Size  # noqa: E402
from simbackend.testing.torch_units import ENGINES, UNITS, TapeEngine, engine, unrolled  # noqa: E402

KINDS = ("linear", "nonlinear")


def unit(kind: str, by: str = "numpy") -> Unit:
    torch.manual_seed(1)
    return UNITS[kind](engine(kind, by), Size(2, 4, 3)).double()


def inputs(batch: int = 2, steps: int = 40) -> torch.Tensor:
    return torch.randn(batch, steps, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ENGINES)
def test_gradcheck_passes_for_parameters_inputs_and_start(kind: str, by: str) -> None:
    made = unit(kind, by)
    names = tuple(made.theta())
    values = [value.detach().clone().requires_grad_() for value in made.theta().values()]
    start = [torch.randn(2, 4, dtype=torch.float64).requires_grad_() for _ in range(2)]

    def outputs(u: torch.Tensor, q: torch.Tensor, p: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return run_unit(made.engine, dict(zip(names, parameters, strict=True)), u, (q, p))

    # Two echoes subtract numbers that differ in the fifth digit: what is left has 1e-9 or so of rounding.
    tight = 1e-6 if by == "echoes" else 1e-7
    assert torch.autograd.gradcheck(outputs, (inputs(2, 6).requires_grad_(), *start, *values), rtol=tight, atol=tight)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ENGINES)
@pytest.mark.parametrize("steps", [1, 6, 40])
def test_outputs_and_gradients_are_those_of_the_unrolled_unit(kind: str, by: str, steps: int) -> None:
    made, u = unit(kind, by), inputs(2, steps)
    weight = torch.randn(2, steps, 3, dtype=torch.float64)
    found = torch.autograd.grad((made(u) * weight).sum(), list(made.parameters()))
    expected = torch.autograd.grad((unrolled(made.theta(), u) * weight).sum(), list(made.parameters()))
    torch.testing.assert_close(made(u), unrolled(made.theta(), u))
    tight = {"rtol": 1e-6, "atol": 1e-9} if by in ("echoes", "difference") else {}  # the others are exact
    torch.testing.assert_close(found, expected, **tight)


def test_tensors_and_arrays_share_memory_in_both_directions() -> None:
    made, u = unit("linear"), inputs()
    runs = []

    class Looking(EchoEngine):
        def forward(self, theta, inputs, start=None):  # type: ignore[no-untyped-def]
            runs.append(super().forward(theta, inputs, start))
            return runs[-1]

    outputs = run_unit(Looking(LinearHRU()), made.theta(), u)
    assert np.shares_memory(runs[0].inputs, u.numpy())
    assert np.shares_memory(runs[0].theta["B"], made.coordinates["B"].detach().numpy())
    assert np.shares_memory(runs[0].outputs, outputs.detach().numpy())


def test_an_expanded_cotangent_is_taken() -> None:
    made = unit("linear")
    made(inputs()).mean().backward()  # the gradient of a mean has stride 0
    assert float(made.coordinates["B"].grad.norm()) > 0


def test_parameters_changed_between_forward_and_backward_are_an_error() -> None:
    made = unit("linear")
    loss = made(inputs()).sum()
    with torch.no_grad():
        made.coordinates["B"] += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_an_echo_is_not_differentiated_once_more() -> None:
    made, u = unit("linear"), inputs().requires_grad_()
    (slope,) = torch.autograd.grad((made(u) ** 2).sum(), u, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_what_the_engine_says_of_a_gradient_is_kept_and_its_warnings_are_issued() -> None:
    class Doubting(TapeEngine):
        def backward(self, run, cotangent):  # type: ignore[no-untyped-def]
            return replace(super().backward(run, cotangent), growth=1e9, warnings=("growth 1e9 ruins float32",))

    made = unit("linear")
    made.engine = Doubting("linear")
    assert made.health is None
    with pytest.warns(GradientWarning, match="growth 1e9 ruins float32"):
        made(inputs()).sum().backward()
    assert made.health is not None
    assert made.health.growth == 1e9


def test_nothing_of_a_pass_is_kept_after_its_graph_is_gone() -> None:
    made, gone = unit("linear"), []

    class Watching(TapeEngine):
        def forward(self, theta, inputs, start=None):  # type: ignore[no-untyped-def]
            run = super().forward(theta, inputs, start)
            gone.append(weakref.ref(run.outputs))
            return run

    made.engine = Watching("linear")
    made(inputs()).sum().backward()
    gc.collect()
    assert gone[0]() is None


def test_float32_stays_float32() -> None:
    made, u = unit("nonlinear").float(), inputs().float()
    outputs = made(u)
    outputs.sum().backward()
    assert outputs.dtype == torch.float32
    assert all(parameter.grad.dtype == torch.float32 for parameter in made.parameters())


def test_tensors_that_cannot_be_shared_are_refused_in_one_sentence() -> None:
    made, u = unit("linear"), inputs()
    with pytest.raises(ValueError, match=r"inputs: not contiguous.*call \.contiguous\(\) first"):
        made(inputs(2, 2).transpose(1, 2))
    with pytest.raises(ValueError, match=r"inputs: on meta, but engines .* call \.cpu\(\) first"):
        made(u.to("meta"))
    with pytest.raises(TypeError, match=r"inputs: torch.float16, but engines take float32 or float64"):
        made(u.half())
    with pytest.raises(TypeError, match=r": torch.float64, but the inputs are torch.float32; a unit takes one type"):
        made(u.float())
    with pytest.raises(ValueError, match=r"inputs are \(batch, steps, d_in\), not \(40, 2\)"):
        made(u[0])
    with pytest.raises(ValueError, match="a start has positions and momenta; give both"):
        made(u, (torch.ones(len(u), 4, dtype=torch.float64), None))
