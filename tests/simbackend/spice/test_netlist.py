"""A netlist holds a circuit: what would have ngspice run, read or write something else is refused by its line."""

from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError
from simbackend.spice.netlist import read

CIRCUIT = """A title, whatever it says: .control
* a comment
V1 in 0 0 ; the input
R1 in out
+ 1k
C1 out 0 1n $ to ground
.tran 1u 1m
.END
what stands below is not read
"""

REFUSED = {
    "shell": ".control\nshell touch pwned\n.endc",
    "shell of another case": ".CONTROL\nshell touch pwned\n.ENDC",
    "command in a comment": "*# shell touch pwned",
    "script": "*ng_script",
    "exec": ".exec touch pwned",
    "include beyond": ".include ../secret.txt",
    "include of the system": ".include /etc/passwd",
    "include in quotes": '.include "/etc/passwd"',
    "short include": ".inc '../secret.txt'",
    "include by a link": ".include link.txt",
    "include of a link to a folder": ".include folder/secret.txt",
    "include of itself": ".include circuit.cir",
    "include of nothing": ".include",
    "include of a device": ".include zero",
    "library": ".lib /etc/passwd tt",
    "code model": 'A1 %v([out]) source\n.model source filesource (file="/etc/passwd")',
    "model that reads": '.model source filesource (file="/etc/passwd")',
    "source from a file": "V2 a 0 pwl file=/etc/passwd",
    "source from a file in brackets": 'V2 a 0 pwl(file="/etc/passwd")',
    "source from a file behind a bracket": "V2 a 0 pwl( file = /etc/passwd )",
    "function that reads": "B2 a 0 v=pwlfile(x)",
    "name of a file": "I2 a 0 pwl filename = x",
    "options with a file": ".options rawfile=/tmp/x",
    "write": ".write out.raw",
    "csparam": ".csparam x = 1",
    "codemodel": ".codemodel /tmp/evil.cm",
    "preload": ".load x",
    "hdl": ".pre_osdi evil.osdi",
    "no component": "? a b 1",
    "output": "N1 a b c",
    "binary": "R2 a b 1k\0",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("R9 a b 1k\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "link.txt").symlink_to(tmp_path / "secret.txt")
    (inner / "folder").symlink_to(tmp_path)
    (inner / "zero").symlink_to("/dev/zero")
    return inner


def written(folder: Path, *lines: str) -> Path:
    file = folder / "circuit.cir"
    file.write_text("title\nV1 in 0 0\nC1 in 0 1n\n" + "\n".join(lines) + "\n.end\n")
    return file


def test_a_circuit_is_its_components(tmp_path: Path) -> None:
    (tmp_path / "circuit.cir").write_text(CIRCUIT)
    found = read(tmp_path / "circuit.cir")
    assert found.cards == ("V1 in 0 0", "R1 in out 1k", "C1 out 0 1n")
    assert list(found.components) == ["v1", "r1", "c1"]


@pytest.mark.parametrize("lines", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_circuit_is_refused_in_one_sentence(folder: Path, lines: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(written(folder, lines))
    assert "\n" not in str(error.value)


def test_what_a_maker_ships_may_be_included_from_the_folder_of_the_netlist(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "diode.lib").write_text("* a maker's file\n.model fast d (is=1n)\n.include more.lib\n")
    (folder / "parts" / "more.lib").write_text(".subckt amp a b\nC1 a b 1p\n.ends\n")
    found = read(written(folder, ".include parts/diode.lib", "D1 in 0 fast", "X1 in 0 amp"))
    assert ".model fast d (is=1n)" in found.cards
    assert found.components["c1"] == "C1 in 0 1n"
    assert found.hidden == "C1"


@pytest.mark.parametrize(
    ("card", "who"),
    [
        (".model dm d(is=1n cjo=300p)", ".model dm"),
        (".model qm npn(bf=100 tf=1n)", ".model qm"),
        ("T1 a 0 b 0 z0=50 td=1u", "T1"),
        ("B1 a 0 v = ddt(v(in))", "B1"),
        ("C7 a 0 q = {1n*v(a)}", "C7"),
        ("S1 a 0 in 0 sm", "S1"),
        ("D1 in 0 dm\n.model dm d(is=1n cjo=0)", ""),
        ("D1 in 0 dm\n.model dm d(is=1n)", ""),
    ],
)
def test_what_remembers_beside_capacitors_and_inductors_is_found(folder: Path, card: str, who: str) -> None:
    assert read(written(folder, card)).hidden == who


@pytest.mark.parametrize("comment", ["$coil", "//coil", "; coil", "$ coil", " //coil"])
def test_comments_end_a_card_wherever_they_begin(folder: Path, comment: str) -> None:
    assert read(written(folder, f"L1 N$1 0 1m {comment}")).components["l1"] == "L1 N$1 0 1m"


def test_a_name_with_the_word_file_in_it_reads_none(folder: Path) -> None:
    assert (
        "x1" in read(written(folder, "X1 in b profile_sub", ".subckt profile_sub a b", "R1 a b 1k", ".ends")).components
    )


def test_a_netlist_that_never_ends_is_not_read_to_its_end(folder: Path) -> None:
    file = written(folder)
    file.write_text("title\n" + "* much\n" * 700_000)
    with pytest.raises(ConfigurationError, match="larger than"):
        read(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no netlist .*nowhere\.cir"):
        read(tmp_path / "nowhere.cir")
