"""A rig between two torch layers, trained as one model."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.executor import Compiling, Limiting, RigBackend, execute  # noqa: E402
from labrhel.learning.task import Task  # noqa: E402
from protocols.rig_unit import RigUnit  # noqa: E402
from simbackend.models.oscillator_network import OscillatorNetwork  # noqa: E402
from simbackend.recurrent.stacks.layer import Unit  # noqa: E402
from simbackend.rigs.simulated import SimulatedRig  # noqa: E402


class Chain(torch.nn.Module):
    """Encoder on the host, two passes over the same rig one after the other, read-out on the host."""

    def __init__(self) -> None:
        super().__init__()
        model = OscillatorNetwork(3, coupling="chain", nominal={"cubic": 0.3, "friction": 0.1})
        rig = SimulatedRig(model)
        handler = Compiling(Limiting(RigBackend(rig), rig.capabilities), rig.capabilities)

        def run(protocol: Any) -> Any:
            return execute(protocol, handler)

        def unit(shift: float) -> Unit:
            engine = RigUnit(run, Task(model, rig.capabilities, 0.3, 1, ("q3",), 1.0), response=1e-4)
            values = {name: model.parameters[name].nominal + shift for name in ("stiffness", "coupling")}
            return Unit(engine, values | {"readout": torch.ones(1, 1), "readout_offset": torch.zeros(1)})

        self.encoder = torch.nn.Linear(2, 1)
        self.first, self.second = unit(0.0), unit(0.3)
        self.double()

    def forward(self, u: Any) -> Any:
        """(batch, steps, 2) -> (batch, steps, 1)."""
        x = torch.tanh(self.encoder(u))
        return self.second(self.first(x) + x)


def test_gradients_go_through_two_units_on_one_rig_to_the_layer_before_them() -> None:
    torch.manual_seed(0)
    model, u = Chain(), torch.randn(2, 25, 2, dtype=torch.float64)
    weight = torch.randn(2, 25, 1, dtype=torch.float64)
    (model(u) * weight).sum().backward()
    for name, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            ends = []
            for by in (1e-5, -2e-5):
                parameter.add_(by * direction)
                ends.append(float((model(u) * weight).sum()))
            parameter.add_(1e-5 * direction)
        expected = (ends[0] - ends[1]) / 2e-5
        assert float((parameter.grad * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-6), name
