"""Programs of other people, as their packages bring them, read and ask the virtual instruments."""

import subprocess
import time

import numpy as np
import pytest

from simbackend.testing.plain_client import clients, station, upload
from simbackend.virtual_bench import virtual_bench

PATIENCE = 60.0


@pytest.fixture
def bench(tmp_path):
    with virtual_bench(station(tmp_path)) as opened:
        yield opened


def port(bench, name):
    return bench.addresses[name]["socket"].split("::")[2]


@pytest.mark.needs("lxi")
@pytest.mark.parametrize(
    ("name", "said"), [("awg", "Agilent Technologies,33522B"), ("scope", "RIGOL TECHNOLOGIES,DS1104Z")]
)
def test_lxi_tools_ask_what_an_instrument_is(bench, name, said):
    words = ["lxi", "scpi", "--address", "127.0.0.1", "--port", port(bench, name), "--raw", "*IDN?"]
    asked = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (asked.returncode, asked.stderr) == (0, "") and asked.stdout.startswith(said)


@pytest.mark.needs("sigrok-cli")
def test_sigrok_reads_the_screen_of_an_oscilloscope(bench, tmp_path):
    with clients(bench, "awg", "scope") as (awg, scope):
        upload(awg, 1, np.hanning(400), rate=1e5, amplitude=4.0)
        scope.write(":RUN;:ACQ:MDEP 3000;:CHAN1:PROB 1;SCAL 0.1;:TIM:SCAL 0.001;:TRIG:EDG:SOUR CHAN4;LEV 1")
        assert len(read_by_sigrok(bench, awg, "Live", tmp_path)) == 1200
        assert scope.ask(":SYST:ERR?") == '0,"No error"'


@pytest.mark.needs("sigrok-cli")
def test_sigrok_reads_the_memory_of_an_oscilloscope_which_one_channel_has_for_itself(bench, tmp_path):
    """It switches the other channels off, which leaves 12 million samples, and asks for them 30000 at a time.

    Over a socket libsigrok 0.5.2 takes the newline behind the first block for an answer that is not complete, and ends
    there, whatever instrument it reads.
    """
    with clients(bench, "awg", "scope") as (awg, scope):
        upload(awg, 1, np.hanning(400), rate=1e5, amplitude=4.0)
        scope.write(":RUN;:ACQ:MDEP 3000000;:CHAN1:PROB 1;SCAL 0.1;:TIM:SCAL 0.0002;:TRIG:EDG:SOUR CHAN4;LEV 1")
        volts = read_by_sigrok(bench, awg, "Memory", tmp_path)
        assert (scope.ask(":ACQ:MDEP?"), scope.ask(":SYST:ERR?")) == ("12000000", '0,"No error"')
        scope.write(":WAV:SOUR CHAN1;MODE RAW;STAR 1;STOP 30000")
        codes = np.frombuffer(scope.block(":WAV:DATA?"), np.uint8).astype(float)
        np.testing.assert_allclose(volts, (codes - 127) * 0.1 / 25.6, atol=1e-3)  # a division has 25.6 codes there
        assert scope.ask(":SYST:ERR?") == '0,"No error"'


def read_by_sigrok(bench, awg, source, folder):
    """The values of one frame of the first channel; meanwhile the generator triggers, since it waits for one."""
    device, file = f"rigol-ds:conn=tcp-raw/127.0.0.1/{port(bench, 'scope')}", folder / "frame.csv"
    words = ["sigrok-cli", "-d", device, "--config", f"data_source={source}", "--channels", "CH1", "--frames", "1"]
    reading = subprocess.Popen([*words, "-O", "csv", "-o", str(file)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while reading.poll() is None and time.monotonic() < end:
            awg.ask("*TRG;*OPC?")
            time.sleep(0.05)
    finally:
        reading.kill()
        reading.wait()
    assert reading.returncode == 0
    return [float(line) for line in file.read_text().splitlines() if line.replace(".", "").lstrip("-").isdigit()]
