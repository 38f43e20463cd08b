"""The conformance kit on a bench: a healthy one passes, and mistakes in a station file are found."""

from pathlib import Path

import pytest

from labrhel.conformance import Outcome, judge, subject_of, summary
from simbackend.virtual_bench import station_text, virtual_bench

MISTAKES = {
    "factor 2 of the load": ("terminal: awg1.ch1\n      gain: 0.99", "terminal: awg1.ch1\n      gain: 1.99"),
    "wrong sign of a port": ("terminal: awg2.ch1\n      gain: 0.99", "terminal: awg2.ch1\n      gain: -0.99"),
    "factor 2 of a probe": ("terminal: scope1.ch2\n      gain: 1.0", "terminal: scope1.ch2\n      gain: 2.0"),
    "wrong sign of a channel": ("terminal: scope2.ch1\n      gain: 1.0", "terminal: scope2.ch1\n      gain: -1.0"),
    "swapped channels": ("scope1.ch2", "scope1.ch3"),
    "swapped ports": ("awg2.ch2", "awg3.ch1"),
    "half the coupling": ("per_volt: 0.2", "per_volt: 0.1"),
    "a trigger that is seen late": ("seen_by:\n      scope1: {terminal: ch4, level: 1.5, delay: 0.0}",
                                    "seen_by:\n      scope1: {terminal: ch4, level: 1.5, delay: 0.0005}"),
}  # fmt: skip


def changed(text: str, name: str) -> str:
    old, new = MISTAKES[name]
    assert old in text, name
    if name.startswith("swapped"):
        return text.replace(old, "there").replace(new, old).replace("there", new)
    return text.replace(old, new)


def station(folder: Path, text: str) -> str:
    file = folder / "station.yaml"
    file.write_text(text, encoding="utf-8")
    return f"bench:{file}"


@pytest.mark.slow
def test_a_healthy_bench_passes(tmp_path: Path) -> None:
    with virtual_bench("coupled_oscillators") as bench:
        with subject_of(station(tmp_path, station_text(bench)), "bench_oscillators") as subject:
            results = list(judge(subject))
        print(summary(results))
        assert [str(item) for item in results if item.outcome is Outcome.FAILED] == []
        assert sum(item.outcome is Outcome.PASSED for item in results) >= 80


@pytest.mark.slow
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_wiring_is_found(tmp_path: Path, name: str) -> None:
    with virtual_bench("coupled_oscillators") as bench:
        text = changed(station_text(bench), name)
        with subject_of(station(tmp_path, text), "bench_oscillators") as subject:
            first = next((item for item in judge(subject) if item.outcome is Outcome.FAILED), None)
    print(f"{name}: {first}")
    assert first is not None
