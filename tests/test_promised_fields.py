"""What a dataclass or a section of a configuration holds is read somewhere, or it promises what nobody obeys."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("labrhel", "protocols", "simbackend", "drivers", "calibration")
ROOT = Path(__file__).parent.parent

TOLD = {
    "Settled.settled": "is for users of the relaxation model as a library",
}
"""Fields that are for people, with the reason."""


def trees() -> Iterator[ast.Module]:
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if "testing" in file.parts:  # what tests share, tests read
                continue
            yield ast.parse(file.read_text(encoding="utf-8"))


def is_data(node: ast.ClassDef) -> bool:
    decorated = any("dataclass" in ast.unparse(item) for item in node.decorator_list)
    return decorated or any(ast.unparse(base) == "Section" for base in node.bases)


def test_every_field_is_read_by_the_program() -> None:
    read: Counter[str] = Counter()
    fields: list[tuple[str, str]] = []
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read[node.attr] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                read[node.value] += 1  # by getattr, or as a key of model_dump
            elif isinstance(node, ast.MatchClass):
                read.update(node.kwd_attrs)
            elif isinstance(node, ast.ClassDef) and is_data(node):
                names = [item.target for item in node.body if isinstance(item, ast.AnnAssign)]
                fields += [(node.name, target.id) for target in names if isinstance(target, ast.Name)]
    assert len(fields) > 500
    unread = {f"{owner}.{name}" for owner, name in fields if not read[name]}
    assert unread == set(TOLD), "obey these fields, or delete them"
