"""The user's netlist, and nothing that is not a circuit.

ngspice runs shell commands, reads and writes files, and loads libraries where a netlist asks for it.  What is read here
is a list of the cards that may pass: components, models, subcircuits, parameters.  Anything else is refused by line,
except the analyses and outputs of the user's own work (`.tran`, `.print`), which are left out: the rig has its own.
Included files are read here, and lie in the folder of the netlist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labrhel.errors import ConfigurationError

COMPONENTS = "bcdefghijklmqrstvwxz"
"""First letters of the components that may stand in a netlist; `a` is a code model, which may read files."""

CARDS = ("ends", "func", "global", "model", "param", "params", "subckt", "temp")
LEFT_OUT = ("ac", "dc", "four", "ic", "meas", "measure", "noise", "nodeset",
            "op", "plot", "print", "probe", "save", "tran")  # fmt: skip
MODELS = ("c", "csw", "d", "l", "njf", "nmf", "nmos", "npn", "pjf", "pmf", "pmos", "pnp", "r", "sw")

_DEEPEST = 8  # files that include files
_LONGEST = 4_000_000  # bytes of a netlist with all that it includes
_INCLUDES = ("inc", "incl", "include")
_COMMENT = re.compile(r";|(?<=\s)\$|//")  # a $ within a name, such as the node N$1, is none
_FILE = re.compile(r"file(?!\w)|file\w*\s*=")  # file=, pwl(file, pwlfile(, filename =; not a name such as profile_sub
_CHARGED = re.compile(
    r"\b(cjo|cj0|cj|cjsw|tt|tf|tr|cje|cjc|cjs|cgso|cgdo|cgbo|cgs|cgd|cbd|cbs|tox)\s*=\s*(?!0*\.?0+\b)"
)
_DELAYED = re.compile(r"\b(ddt|idt|sdt)\s*\(")


@dataclass(frozen=True, slots=True)
class Netlist:
    """Cards as ngspice gets them, and those of the circuit itself by the lower-case name of their component."""

    file: Path
    cards: tuple[str, ...]
    components: Mapping[str, str]

    @property
    def hidden(self) -> str:
        """What remembers something and is no capacitor or inductor of the circuit itself; "" if nothing does.

        A capacitor or inductor in a subcircuit; the charge of a junction or a gate, by its model; a line (t); a
        derivative or integral in an expression; a switch with hysteresis; a capacitor that is given by its charge.
        """
        shown = {id(card) for card in self.components.values()}
        for card in self.cards:
            name, low = card.split()[0], card.lower()
            inner = id(card) not in shown and low[0] in "cl"
            charged = low.startswith(".model") and _CHARGED.search(low)
            law = low[0] in "cl" and re.search(r"\b(q|flux)\s*=", low)
            if inner or charged or law or low[0] in "tsw" or _DELAYED.search(low):
                return " ".join(card.split()[:2]) if charged else name
        return ""


def read(file: Path) -> Netlist:
    """The netlist in `file`; raises ConfigurationError for what cannot be read or may not pass, with its line."""
    cards, components, inside = [], {}, 0
    for place, card in _cards(file, file.resolve().parent):
        words = card.lower().split()
        if _passes(words, place):
            inside += (words[0] == ".subckt") - (words[0] == ".ends")
            cards.append(card)
            if not inside and words[0][0] != ".":
                components[words[0]] = card
    if not components:
        raise ConfigurationError(f"{file} has no component outside of subcircuits: it is no circuit")
    return Netlist(file, tuple(cards), components)


def _passes(words: list[str], place: str) -> bool:
    """Whether a card goes to ngspice; raises ConfigurationError for one that has no business in a circuit."""
    name = words[0]
    if name[0] != ".":
        if name[0] not in COMPONENTS or len(words) < 3:
            raise ConfigurationError(f"{place}: {name!r} is no component that may stand in the netlist of a rig")
        if _FILE.search(" ".join(words[3:])):
            raise ConfigurationError(f"{place}: {name} reads a file, which no component of a rig may")
        return True
    card = name[1:]
    if card == "model" and (len(words) < 3 or re.split(r"[(]", words[2])[0] not in MODELS):
        raise ConfigurationError(f"{place}: a model is of a kind {', '.join(MODELS)}; code models are not for rigs")
    if card in LEFT_OUT:
        return False
    if card not in CARDS:
        raise ConfigurationError(
            f"{place}: {name} may not stand in the netlist of a rig, which holds components, .include and "
            f"{', '.join(f'.{card}' for card in CARDS)}"
        )
    return True


def _cards(file: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Cards with their places, continued lines joined, comments gone, includes in place of their line."""
    joined: list[tuple[str, str]] = []
    for place, line in _lines(file, root, 0, [_LONGEST]):
        if line.startswith("+"):
            if not joined:
                raise ConfigurationError(f"{place}: a line that goes on (+) has none to go on from")
            joined[-1] = (joined[-1][0], f"{joined[-1][1]} {line[1:].strip()}")
        else:
            joined.append((place, line))
    yield from joined


def _lines(file: Path, root: Path, depth: int, left: list[int]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_text(file, left).splitlines(), 1):
        place = f"{file.name}:{number}"
        if re.match(r"\s*\*\s*(#|ng_script)", line):
            raise ConfigurationError(
                f"{place}: a command to ngspice in a comment may not stand in the netlist of a rig"
            )
        if depth == 0 and number == 1:
            if line.lstrip().startswith("."):
                raise ConfigurationError(
                    f"{place}: the first line of a netlist is its title, and {line.split()[0]} is none"
                )
            continue
        card = _COMMENT.split(line.strip())[0].strip()
        if not card or card.startswith("*"):
            continue
        words = card.split(maxsplit=1)
        if words[0].lower() == ".end":
            return
        if words[0].lower()[1:] in _INCLUDES and words[0][0] == ".":
            named = (words[1] if len(words) > 1 else "").strip().strip("'\"")
            inside = (file.parent / named).resolve()
            if not inside.is_relative_to(root) or depth == _DEEPEST:
                raise ConfigurationError(
                    f"{place}: {named} is not in the folder of the netlist, {root}, or includes itself: copy it there"
                )
            yield from _lines(inside, root, depth + 1, left)
            continue
        yield place, card


def _text(file: Path, left: list[int]) -> str:
    if not file.is_file():
        raise ConfigurationError(f"there is no netlist {file}")
    with file.open("rb") as stream:
        data = stream.read(left[0] + 1)
    left[0] -= len(data)
    if left[0] < 0:
        raise ConfigurationError(f"{file} is larger than the {_LONGEST // 1_000_000} MB that a netlist may have")
    if b"\0" in data:
        raise ConfigurationError(f"{file} is no text, and so no netlist")
    return data.decode("latin-1")
