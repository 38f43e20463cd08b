from pathlib import Path

import pytest

from labrhel import errors


def test_the_exit_status_says_whose_turn_it_is() -> None:
    assert errors.ConfigurationError("x").exit_status == 2
    assert errors.ProgramError("x").exit_status == 2
    for kind in (errors.LimitError, errors.TransportError, errors.InstrumentError, errors.DeadlineError):
        assert kind("x").exit_status == 3


def test_a_configuration_error_names_file_line_and_key() -> None:
    error = errors.ConfigurationError("must be positive", file=Path("a.yaml"), line=7, key="optimizer.rate")
    assert str(error) == "a.yaml:7: optimizer.rate: must be positive"
    assert str(errors.ConfigurationError("must be positive", file=Path("a.yaml"))) == "a.yaml: must be positive"
    assert str(errors.ConfigurationError("must be positive")) == "must be positive"


def test_a_transport_error_carries_the_raw_bytes_and_an_instrument_error_the_answer() -> None:
    assert errors.TransportError("out of step", raw=b"\x00\xff").raw == b"\x00\xff"
    assert errors.InstrumentError("refused", answer="-113").answer == "-113"


@pytest.mark.parametrize("name", [name for name in dir(errors) if name.endswith("Error")])
def test_every_error_can_be_caught_as_one(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.LabrhelError)
