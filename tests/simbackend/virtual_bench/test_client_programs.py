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
def test_sigrok_reads_the_screen_of_an_oscilloscope(bench):
    with clients(bench, "awg", "scope") as (awg, scope):
        upload(awg, 1, np.hanning(400), rate=1e5, amplitude=4.0)
        scope.write(":RUN;:ACQ:MDEP 3000;:CHAN1:PROB 1;SCAL 0.1;:TIM:SCAL 0.001;:TRIG:EDG:SOUR CHAN4;LEV 1")
        device = f"rigol-ds:conn=tcp-raw/127.0.0.1/{port(bench, 'scope')}"
        words = ["sigrok-cli", "-d", device, "--config", "data_source=Live", "--channels", "CH1", "--frames", "1"]
        reading = subprocess.Popen([*words, "-O", "csv"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            end = time.monotonic() + PATIENCE
            while reading.poll() is None and time.monotonic() < end:
                awg.ask("*TRG;*OPC?")  # it waits for a trigger of its own
                time.sleep(0.05)
        finally:
            reading.kill()
        said, _ = reading.communicate()
        assert reading.returncode == 0
        assert len([line for line in said.splitlines() if line.replace(".", "").lstrip("-").isdigit()]) == 1200
        assert scope.ask(":SYST:ERR?") == '0,"No error"'
