"""What instruments answer becomes values in one place, which refuses what is none in words."""

import ast
import math
from pathlib import Path

import pytest

import drivers.instruments
from drivers.instruments import answers


@pytest.mark.parametrize(("text", "value"), [("+1.00E+03", 1000.0), ("-0.5", -0.5), (" 7 ", 7.0), (".5", 0.5)])
def test_numbers_are_read_as_scpi_writes_them(text, value):
    assert answers.number(text) == value


@pytest.mark.parametrize("text", ["", "x", "1_0", "0x10", "nan", "inf", "9.91E+37", "9.9E37", "1,2", "+", "1e", "1;2"])
def test_what_is_no_finite_number_is_refused(text):
    with pytest.raises(ValueError, match="number"):
        answers.number(text)


def test_infinity_is_taken_only_where_it_may_be():
    assert answers.extended("+9.9E+37") == math.inf
    assert math.isnan(answers.extended("9.91e37"))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (answers.whole, "1.5"),
        (answers.positive, "0"),
        (answers.flag, "2"),
        (answers.flag, ""),
        (answers.one_of("LOW", "HIGH"), "MIDDLE"),
        (answers.numbers(3), "1,2"),
        (answers.numbers(2), "1,x"),
        (answers.error, "gar"),
        (answers.error, ""),
        (lambda text: answers.preamble_and_source([text, "CHAN1"]), "+0"),
    ],
)
def test_converters_refuse_in_words(parse, text):
    with pytest.raises(ValueError, match=r"is|has|stands"):
        parse(text)


def test_answers_in_one_message_are_told_apart_but_for_what_is_quoted():
    assert answers.units('+0,"No error";1;"a;b";-113,"Undefined header;:FOO>"') == [
        '+0,"No error"',
        "1",
        '"a;b"',
        '-113,"Undefined header;:FOO>"',
    ]
    assert answers.units("") == [""]
    assert answers.units('1;"never closed;2') == ["1", '"never closed;2']


def test_errors_are_told_from_no_error_and_from_other_answers():
    assert answers.error('+0,"No error"') == answers.error("0") == ""
    assert answers.error('-113,"Undefined header"') == '-113,"Undefined header"'
    assert answers.looks_like_error('-113,"Undefined header"') and not answers.looks_like_error("8")


def test_no_driver_converts_an_answer_anywhere_else():
    """`float`, `int` and the like stand in no driver: what came from an instrument is converted in `answers` alone.

    What a driver has worked out itself is a number already: `.item()` of an array, `round`, `1 if ... else 0`.
    """
    folder, found = Path(drivers.instruments.__file__).parent, []
    for file in sorted(folder.glob("*.py")):
        if file.name == "answers.py":
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        hints = {id(name) for place in ast.walk(tree) for hint in _hints(place) for name in ast.walk(hint)}
        found += [
            f"{file.name}:{place.lineno}: {place.id}"
            for place in ast.walk(tree)
            if isinstance(place, ast.Name) and place.id in CONVERTERS and id(place) not in hints
        ]
    assert not found


CONVERTERS = {"float", "int", "bool", "complex", "eval"}


def _hints(place):
    """The types that stand in a piece of code, which convert nothing."""
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Name) and place.func.id == "isinstance":
        yield place.args[1]
    if isinstance(place, ast.arg | ast.AnnAssign) and place.annotation is not None:
        yield place.annotation
    if isinstance(place, ast.FunctionDef) and place.returns is not None:
        yield place.returns
    if isinstance(place, ast.Subscript) and not any(
        isinstance(part, ast.Call) for part in ast.walk(place)
    ):  # Range = tuple[float, float]
        yield place.slice
