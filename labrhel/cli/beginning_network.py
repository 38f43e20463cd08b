"""`labrhel init --oscillators N`: a network that learns its couplings from a teacher, to begin with."""

from __future__ import annotations

from collections.abc import Sequence

from labrhel.errors import ConfigurationError

_TAUGHT = ("0.30", "0.05", "0.22", "0.10", "0.02", "0.25", "0.08", "0.18", "0.12", "0.28", "0.06", "0.20", "0.15")
_SPRINGS = ("1.0", "1.3", "0.8", "1.1", "1.5", "0.9", "1.2", "1.0", "1.4", "0.7")


def network(count: int, coupling: str) -> str:
    """A configuration of so many oscillators that learn couplings from a teacher."""
    pairs = {"none": 0, "chain": count - 1, "ring": count if count > 2 else count - 1, "all": count * (count - 1) // 2}
    if coupling not in pairs:
        raise ConfigurationError(f"--coupling is one of {', '.join(pairs)}, not {coupling!r}")

    def listed(values: Sequence[str], number: int) -> str:
        return f"[{', '.join(values[index % len(values)] for index in range(number))}]"

    trained = pairs[coupling]
    stiffness = listed(_SPRINGS, count)
    rows = ", ".join("[1.0]" if index == 0 else "[0.0]" for index in range(count))
    return "\n".join([
        f"# {count} oscillators, begun by labrhel init: driven on the first.",
        "# They learn what a teacher makes, the same model with other parameters; docs/configuration.md has every key.",
        "",
        "model:",
        f"  oscillators: {count}",
        f"  coupling: {coupling}       # none, chain, ring, all, or a list of pairs from 0",
        "  units: {time: ms, position: V, input: V}",
        "  parameters:              # times in ms, so stiffness is in 1/ms^2",
        f"    stiffness: {stiffness if trained else f'{{value: {stiffness}, train: true, bounds: [0.3, 3]}}'}",
        "    cubic: 0.1             # springs that harden",
        "    friction: 0.02",
        *(["    coupling: {value: 0.15, train: true, bounds: [0.0, 1.0]}"] if trained else []),
        f"    input: [{rows}]",
        f"  readout: {{channels: [q{min(count, 4)}]}}",
        "",
        'rig: "sim:"                # ideal; or another one by --rig URL',
        "protocol: {rule: rhel, record: all}",
        "optimizer: {kind: adam, rate: 0.02, steps: 40}",
        "",
        "data:",
        "  teacher:",
        f"    parameters: {{coupling: {listed(_TAUGHT, trained)}}}" if trained else "    parameters: {stiffness: 1.2}",
        "    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 12, seed: 3}   # V rms, kHz",
        "    samples: 150",
        "    spacing: 0.2           # ms",
        "    sequences: 4",
        "    test_sequences: 1",
        "  substeps: 4              # kicks a sample; a bench moves in continuous time, and wants them",
        "  skip: 20",
        "  batch: 4",
        "",
    ])  # fmt: skip
