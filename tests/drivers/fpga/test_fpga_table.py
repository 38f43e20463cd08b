"""A board with a table of tanh: bit for bit that of the numerical backend, and retraced."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from drivers.fpga import FpgaBoard, FpgaRig
from drivers.transport import open_framed_link
from labrhel.errors import ProgramError
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from labrhel.testing.boards import STEP
from labrhel.testing.programs import VERILATOR
from labrhel.wire.board import Build
from simbackend.fixed_point import FixedPointRig
from simbackend.models.saturating_network import SaturatingNetwork

MODEL = SaturatingNetwork(4, coupling="chain", nominal={"stiffness": 0.3, "saturation": [0.5, 1.0, 1.5, -0.1]})


@pytest.mark.needs(*VERILATOR)
@pytest.mark.slow
def test_its_bits_are_those_of_the_numerical_backend_and_an_echo_loses_none(make_board: Callable[..., Any]) -> None:
    build, steps = Build(table=1024), 300
    wave = Waveform.of(1.0 * np.random.default_rng(2).normal(size=steps), STEP)
    acquire = Acquire(tuple(f"q{i + 1}" for i in range(4)))
    drives = (Drive("u1", wave, Role.INPUT),), (Drive("u1", wave.reversed((steps - 1) * STEP), Role.INPUT),)
    passes = Pass(steps, drives[0], acquire, keep=True), Pass(steps, drives[1], acquire, echo=True)
    program = ShotProgram(STEP, Rest(), passes)
    numerical = FixedPointRig(MODEL, STEP, build.state, build.coefficient, table=build.table)
    expected = numerical.run([compile(program, numerical.capabilities)])[0]
    with make_board(build=build) as board:
        rig = FpgaRig(FpgaBoard(open_framed_link(board.url)), MODEL, STEP)
        found = rig.run([compile(program, rig.capabilities)])[0]
        for name in acquire.channels:
            for one, two in zip(found.passes, expected.passes, strict=True):
                assert np.array_equal(one.traces[name].values, two.traces[name].values)
            there, back = (item.traces[name].values[0] for item in found.passes)
            assert np.array_equal(there, back[::-1])
        assert np.abs(found.passes[0].traces["q1"].values).max() > 1.2  # well into saturation
        with pytest.raises(ProgramError, match="no table of tanh"), make_board() as plain:
            link = open_framed_link(plain.url)
            try:
                FpgaRig(FpgaBoard(link), MODEL, STEP)
            finally:
                link.close()
        rig.close()
