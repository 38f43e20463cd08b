"""One instrument under two names is refused: its terminals would have limits twice."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.bench.capabilities import check_boxes
from drivers.roles import Instrument
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from simbackend.testing.benches import CONFIG
from simbackend.virtual_bench import station_text, virtual_bench

DOCUMENT = cast(Any, SimpleNamespace(at=lambda *place: nullcontext()))


def boxes(*identities: str) -> dict[str, Instrument]:
    return {f"box{at}": cast(Instrument, SimpleNamespace(identity=text)) for at, text in enumerate(identities)}


def test_an_instrument_at_two_addresses_is_refused_by_its_serial_number() -> None:
    with pytest.raises(ConfigurationError, match="box0 and box2 are one instrument, QDevil, QDAC-II, 17, under two"):
        check_boxes(
            DOCUMENT, boxes("QDevil, QDAC-II, 17, 3-1.20", "QDevil, QDAC-II, 18, 3-1.20", "QDevil,QDAC-II,17,x")
        )


@pytest.mark.parametrize("identity", ["REDPITAYA,INSTR2023,0,01-02", "X,Y,,1", "no fields", "A,B,000,1"])
def test_instruments_without_a_serial_number_may_be_alike(identity: str) -> None:
    check_boxes(DOCUMENT, boxes(identity, identity))


def test_a_source_on_two_wires_cannot_be_opened_under_two_names(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "bench.yaml").write_text(
        "model: config.yaml\nring_down: 60ms\ninstruments:\n  awg1: {kind: keysight_33600}\n"
        "  scope: {kind: rigol_ds1000z}\n  bias: {kind: qdac2, wires: [socket, hislip]}\nleads:\n"
        "  - {wire: awg1.ch1, to: u1}\n  - {wire: awg1.sync, to: scope.ch4}\n  - {wire: q1, to: scope.ch1, reach: 4}\n",
        encoding="utf-8",
    )
    station = tmp_path / "station.yaml"
    with virtual_bench(tmp_path / "bench.yaml") as bench:
        other = bench.addresses["bias"]["hislip"]
        section = f"instruments:\n  twin: {{type: qdac2, address: '{other}'}}\n"
        station.write_text(station_text(bench).replace("instruments:\n", section), encoding="utf-8")
        with pytest.raises(ConfigurationError, match="twin and bias are one instrument, QDevil, QDAC-II") as it:
            load_experiment(tmp_path / "config.yaml", rig_url=f"bench:{station}")
    assert it.value.file == station and it.value.key == "instruments.bias"
