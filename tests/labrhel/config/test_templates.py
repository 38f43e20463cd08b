"""Values that a file leaves open: arithmetic of known names, and nothing else."""

import numpy as np
import pytest

from labrhel.config.templates import check_template, filled


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{rate}", 2.5e5),
        ("{2500 / rate}", 0.01),
        ("{-(low + high) / 2}", -1.0),
        (":CHAN{number}:OFFS {low * 2 - 1}", ":CHAN3:OFFS 1"),
        (["{number}", {"rate": "{rate}"}, True, None], [3, {"rate": 2.5e5}, True, None]),
        ("DATA {samples}", "DATA 0.5,-1"),
        ("*RST", "*RST"),
    ],
)
def test_braces_become_values(template: object, value: object) -> None:
    values = {"rate": 2.5e5, "low": 1.0, "high": 1.0, "number": 3, "samples": np.array([0.5, -1.0])}
    check_template(template, values)
    assert filled(template, values) == value


def test_an_array_stays_one() -> None:
    assert (filled("{2 * codes}", {"codes": np.arange(3)}) == [0, 2, 4]).all()


@pytest.mark.parametrize(
    "text",
    ["{rate.real}", "{rate[0]}", "{__import__('os')}", "{rate ** 9}", "{'a'}", "{lambda: 1}", "{True}", "{}", "{1 +}",
     "{rate; rate}", "{" + "-" * 500 + "rate}"],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused_before_it_has_a_value(text: str) -> None:
    for refused in (check_template, filled):
        with pytest.raises(ValueError, match="is no arithmetic"):
            refused(text, {"rate": 1.0})


def test_an_unknown_name_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"nothing is called \{raet\} here; did you mean 'rate'\?"):
        check_template({"write": ["SRAT {raet}"]}, {"rate": 1.0})
    with pytest.raises(ValueError, match="has no value: division by zero"):
        filled("{1 / 0}", {})
