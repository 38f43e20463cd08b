"""Every mistake in a configuration is one sentence with file, line and key."""

import json
from pathlib import Path

import pytest

from labrhel import plugins
from labrhel.config import examples, find, json_schema, load
from labrhel.config.reader import read
from labrhel.config.stack import kind_of, load_stack
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError
from labrhel.experiment.model import model_of

SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "config.schema.json"
SMALLEST = "model:\n  oscillators: 1\n"  # two lines: what a test appends begins at line 3


def problem(tmp_path: Path, text: str) -> ConfigurationError:
    file = tmp_path / "experiment.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}")
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", sorted(examples()))
def test_every_example_is_valid(name: str) -> None:
    file = examples()[name]
    if kind_of(read(file)) == "hssm":
        assert load_stack(file).config.model.kind == "hssm"
    else:
        assert callable(plugins.model_factory(load(file).config.model.kind))


def test_a_stack_is_no_configuration_of_a_rig() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.kind: a model of kind hssm is not a rig's"):
        load(examples()["basic_motions"])


def test_only_the_model_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "least.yaml"
    file.write_text(SMALLEST)
    config = load(file).config
    assert (config.rig, config.data, config.protocol.rule) == ("sim:", None, "rhel")


def test_numbers_may_be_written_with_an_exponent_and_without_a_point(tmp_path: Path) -> None:
    file = tmp_path / "numbers.yaml"
    file.write_text(SMALLEST + "optimizer: {rate: 1e-3}\nprotocol: {eps: 2e-4}\n")
    config = load(file).config
    assert (config.optimizer.rate, config.protocol.eps) == (1e-3, 2e-4)


def test_directed_couplings_stand_beside_springs(tmp_path: Path) -> None:
    file = tmp_path / "directed.yaml"
    file.write_text(
        "model: {oscillators: 2, coupling: {directed: [[0, 1]]}, parameters: {directed: {value: 0.1, train: true}}}\n"
        "protocol: {directed: 3}\n"
    )
    document = load(file)
    model = model_of(document)
    assert model.parameters["directed"].nominal.tolist() == [0.1]
    assert document.config.protocol.options() == {"directed": 3}
    file.write_text(SMALLEST + "protocol: {directed: auto}\n")
    assert load(file).config.protocol.options() == {"directed": None}


@pytest.mark.parametrize("value", ["-1", "true", "1.5", "often", "13", "1000"])
def test_a_number_of_pairs_is_auto_or_whole(tmp_path: Path, value: str) -> None:
    assert "auto or a whole number" in problem(tmp_path, SMALLEST + f"protocol: {{directed: {value}}}\n").problem


def test_a_link_that_cannot_be_is_refused_by_its_key(tmp_path: Path) -> None:
    file = tmp_path / "directed.yaml"
    file.write_text("model: {oscillators: 2, coupling: {directed: [[0, 2]]}}\n")
    with pytest.raises(ConfigurationError, match=r"model\.coupling: a directed coupling \[i, j\]"):
        model_of(load(file))


def test_automatic_values_are_none(tmp_path: Path) -> None:
    file = tmp_path / "auto.yaml"
    file.write_text(SMALLEST + "protocol: {eps: auto, response: 0.01}\n")
    protocol = load(file).config.protocol
    assert (protocol.eps, protocol.response, protocol.options()) == (None, 0.01, {"eps": None, "response": 0.01})


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("rigg: 'sim:'", "rigg", "did you mean 'rig'?"),
        ("protocol: {epz: 0.1}", "protocol.epz", "did you mean 'eps'?"),
        ("map: {ports: {u1: {terminal: a, gian: 2}}}", "map.ports.u1.gian", "did you mean 'gain'?"),
        ("protocol: {eps: 0}", "protocol.eps", "must be > 0, not 0"),
        ("protocol: {eps: -1e-3}", "protocol.eps", "must be > 0"),
        ("protocol: {eps: big}", "protocol.eps", "expected auto or a positive number, not the word 'big'"),
        ("protocol: {estimator: mean}", "protocol.estimator", "expected 'one_sided', 'symmetric' or 'four_point'"),
        ("protocol: {repeats: true}", "protocol.repeats", "expected a whole number, not true"),
        ("protocol: {record: every 0}", "protocol.record", "expected all, every N"),
        ("optimizer: {steps: -1}", "optimizer.steps", "must be >= 0, not -1"),
        ("optimizer: {steps: 3.5}", "optimizer.steps", "expected a whole number, not 3.5"),
        ("optimizer: {kind: adamm}", "optimizer.kind", "expected 'adam', 'momentum' or 'lbfgs'"),
        ("optimizer: {kind: lbfgs, rate: 0.1}", "optimizer", "lbfgs has no option 'rate'"),
        ("optimizer: {rate: .nan}", "optimizer.rate", "finite"),
        ("optimizer: {rate: '0.1'}", "optimizer.rate", "expected a number, not the word '0.1'"),
        ("optimizer:", "optimizer", "expected a mapping of keys to values, not nothing"),
        ("rig: 3", "rig", "expected a word, not 3"),
        ("data: {file: x.npz}", "data", "a file needs 'target' as well"),
        ("data: {skip: 3}", "data", "either from a file or from a teacher"),
        ("map: {ports: {u1: {}}}", "map.ports.u1", "the key 'terminal' is missing"),
        ('protocol: {record: "every 3\\n"}', "protocol.record", "expected all, every N"),
        ("optimizer: {seed: 1" + "0" * 400 + "}", "optimizer.seed", "..."),
        ("optimizer: {steps: 1" + "0" * 400 + "}", "optimizer.steps", "must be <= 1e+09"),
        ("protocol: {3: 4}", "protocol", "keys are words, not 3"),
        ("3: 4", "", "keys are words, not 3"),
        ("? [a, b]\n: 4", "", "keys are words, not a list or a mapping"),
        ("map: &map {ports: *map}", "map.ports", "contains itself"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(tmp_path: Path, text: str, key: str, words: str) -> None:
    error = problem(tmp_path, f"{SMALLEST}{text}\n")
    assert (error.line, error.key) == (3, key)
    assert words in error.problem


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        ("{}", "model", "the key 'oscillators' is missing"),
        ("{oscillators: 0}", "model.oscillators", "must be >= 1"),
        ("{oscillators: 1, inputs: [a, a]}", "model.inputs", "stands twice"),
        ("{oscillators: 1, coupling: [[1]]}", "model.coupling", "list of pairs"),
        ("{oscillators: 2, coupling: {directed: [[0]]}}", "model.coupling", "list of pairs"),
        ("{oscillators: 2, coupling: {oneway: all}}", "model.coupling", "nothing called 'oneway'"),
        ("{oscillators: 1, units: {time: min}}", "model.units.time", "SI prefix"),
        ("{oscillators: 1, parameters: {mass: heavy}}", "model.parameters.mass", "expected a number, a list"),
        ("{oscillators: 1, parameters: {mass: [1, .nan]}}", "model.parameters.mass", "finite number"),
        ("{oscillators: 1, parameters: {mass: [[1, 2], [3]]}}", "model.parameters.mass", "differ in length"),
        ("{oscillators: 1, parameters: {mass: {valeu: 1}}}", "model.parameters.mass.valeu", "did you mean 'value'?"),
        ("{oscillators: 1, parameters: {mass: {value: 1, train: 3}}}", "model.parameters.mass.train", "expected true"),
        ("{oscillators: 1, parameters: {mass: {value: 1, bounds: [2, 1]}}}", "model.parameters.mass", "[lowest, "),
        ("{oscillators: 1, parameters: {mass: {value: 1, bounds: [2]}}}", "model.parameters.mass.bounds", "2 items"),
        ("{oscillators: 1, parameters: {mass: {value: 1, train: [[true], [true, false]]}}}",
         "model.parameters.mass.train", "differ in length"),
        ("{oscillators: 1, parameters: {mass: 1" + "0" * 400 + "}}", "model.parameters.mass", "finite number"),
        ("{oscillators: 1, inputs: [a/b]}", "model.inputs[0]", "without a slash"),
        ("{oscillators: 1, inputs: ['']}", "model.inputs[0]", "a name is one line of text"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_model_is_named(tmp_path: Path, model: str, key: str, words: str) -> None:
    error = problem(tmp_path, f"model: {model}\n")
    assert error.key == key
    assert words in error.problem


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ("{start: 3, stop: 2}", "stop must lie after start"),
        ("{start: 3}", "start and stop, or by starts and length"),
        ("{start: 3, stop: 5, length: 2}", "start and stop, or by starts and length"),
        ("{starts: [], length: 3}", "at least 1 item"),
        ("{starts: [-1], length: 3}", "must be >= 0"),
    ],
)
def test_segments_have_one_of_two_forms(tmp_path: Path, segments: str, words: str) -> None:
    text = f"{SMALLEST}data: {{file: a.npz, input: u, target: y, rate: 10, train: {segments}}}\n"
    assert words in problem(tmp_path, text).problem


@pytest.mark.parametrize("rate", ["0", "-3", ".inf", ".nan", "[1]", "true"])
def test_a_sampling_rate_is_positive_or_a_name(tmp_path: Path, rate: str) -> None:
    text = f"{SMALLEST}data: {{file: a.npz, input: u, target: y, rate: {rate}, train: {{start: 0, stop: 9}}}}\n"
    assert problem(tmp_path, text).key == "data.rate"


@pytest.mark.parametrize("number", [".inf", "-.INF", ".NaN", "1e999", "-1E+999"])
@pytest.mark.parametrize("place", ["optimizer: {rate: X}", "rig: {imperfections: {noise: X}}", "telemetry: [1, X]"])
def test_every_number_of_a_file_is_finite_wherever_it_stands(tmp_path: Path, number: str, place: str) -> None:
    error = problem(tmp_path, f"{SMALLEST}{place.replace('X', number)}\n")
    assert error.problem == "every value must be a finite number"
    assert error.line == 3


@pytest.mark.parametrize("written", ["1e999", "1e999 mV", "1e300 GV", "-1e308 kV"])
def test_a_number_with_its_unit_is_finite_too(tmp_path: Path, written: str) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(
        "instruments:\n  awg1: {type: keysight_33600, address: 'TCPIP::10.0.0.5::5025::SOCKET'}\n"
        "  scope1: {type: rigol_ds1000z, address: 'TCPIP::10.0.0.6::5555::SOCKET'}\nrig:\n"
        "  trigger: {fired_by: awg1, seen_by: {scope1: {terminal: ch4, level: 1 V}}}\n  ring_down: 60ms\n"
        f"  ports: {{u1: {{terminal: awg1.ch1, limits: [-5 V, '{written}']}}}}\n"
        "  channels: {q1: {terminal: scope1.ch1, range: [-2 V, 2 V]}}\n"
    )
    with pytest.raises(ConfigurationError, match=r"rig\.ports\.u1.*every value must be a finite number"):
        load_station(file)


def test_of_several_mistakes_the_first_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    error = problem(tmp_path, SMALLEST + "optimizer: {steps: -1}\nprotocol:\n  eps: 0\n  repeats: 0\n")
    assert (error.line, error.key) == (3, "optimizer.steps")
    assert error.problem.endswith("(and 2 more)")


def test_lists_nested_without_end_are_an_error(tmp_path: Path) -> None:
    error = problem(tmp_path, "model: " + "[" * 3000 + "]" * 3000)
    assert error.problem == "the lists and mappings are nested too deeply"


def test_mappings_may_be_merged_and_values_shared(tmp_path: Path) -> None:
    file = tmp_path / "shared.yaml"
    file.write_text(SMALLEST + "  parameters: {mass: &one 1.5, stiffness: *one}\nprotocol: {<<: {repeats: 2}}\n")
    config = load(file).config
    assert config.model.parameters["stiffness"].value == 1.5
    assert config.protocol.repeats == 2


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    error = problem(tmp_path, SMALLEST + "optimizer:\n  rate: 1\n  steps: 3\n  rate: 2\n")
    assert (error.line, error.problem) == (6, "the key 'rate' stands twice; keep one")


@pytest.mark.parametrize(("text", "line"), [("model: [", None), ("model:\n\toscillators: 1", 2), ("a: b: c", 1)])
def test_broken_yaml_is_one_sentence(tmp_path: Path, text: str, line: int | None) -> None:
    error = problem(tmp_path, text)
    assert error.problem.startswith("this is not valid YAML")
    assert line is None or error.line == line


@pytest.mark.parametrize("text", ["", "3", "- model", "# nothing\n"])
def test_a_file_that_is_no_mapping_is_an_error(tmp_path: Path, text: str) -> None:
    assert "mapping of sections" in problem(tmp_path, text).problem


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load(file)


def test_a_configuration_is_found_by_path_and_by_example_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SMALLEST)
    assert find(file) == file
    assert find("silverbox") == examples()["silverbox"]
    with pytest.raises(ConfigurationError, match="the examples are: adding, analog_stack, basic_motions, "):
        find("silverbx")
    with pytest.raises(ConfigurationError, match="is a folder"):
        find(tmp_path)


def test_the_published_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema(), (
        "write it anew: labrhel schema > docs/config.schema.json"
    )


def test_the_schema_accepts_the_examples_and_refuses_an_unknown_key() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(json_schema())
    for file in examples().values():
        data = read(file).data
        assert [error.message for error in validator.iter_errors(data)] == []
        assert not validator.is_valid({**data, "rigg": "sim:"})


def test_every_key_is_explained_in_the_schema() -> None:
    schema = json_schema()
    sections = {"": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, item in section.get("properties", {}).items()
        if not item.get("description")
    ]
    assert silent == []
