"""Small rigs to calibrate, each with its truth in the URL."""

from pathlib import Path

from calibration.campaign import Campaign, Done, campaign
from labrhel.experiment import Experiment, load_experiment
from labrhel.store.calibrations import CalibrationRecord

CONFIG = """\
model:
  oscillators: 3
  coupling: all
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.3, 0.8]
    cubic: 0.2
    coupling: {value: 0.15, train: true, bounds: [0, 2]}
    input: [[1.0], [0.0], [0.0]]
  readout: {channels: [q3], gain: 1.0}
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, rate: 0.01, steps: 6}
data:
  teacher:
    parameters: {coupling: [0.3, 0.05, 0.22]}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 10, seed: 3}
    samples: 160
    spacing: 0.2
    sequences: 1
    test_sequences: 0
  substeps: 1
  skip: 10
"""

IMPERFECT = (
    "seed=4&noise=2mV&adc_bits=12&adc_range=4V&port_gain=2%&channel_gain=2%&port_skew=4us&channel_skew=4us"
    "&friction=20/s&flip_error=0.03&flip_offset=0.01"
)


def written(folder: Path, more: str = "") -> Path:
    """The file of the configuration, with more of it appended."""
    file = folder / "small.yaml"
    file.write_text(CONFIG + more)
    return file


def opened(folder: Path, settings: str = IMPERFECT, more: str = "") -> Experiment:
    """The experiment on a device with these settings."""
    file = written(folder, more)
    return load_experiment(file, rig_url=f"sim:{file}?{settings}")


def measured(experiment: Experiment, *names: str) -> tuple[Campaign, dict[str, Done]]:
    """A campaign that has run these routines, without a file; what each found."""
    found = campaign(experiment, CalibrationRecord(None, experiment.rig_url))
    return found, {item.routine.name: item for item in found.run(found.plan(names))}
