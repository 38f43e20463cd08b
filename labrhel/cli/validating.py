"""`labrhel validate`: are files right, in their own words, with no instrument on?"""

from __future__ import annotations

from collections.abc import Sequence

from labrhel.cli.answers import Answer
from labrhel.errors import ConfigurationError
from labrhel.experiment.validating import validated


def validate(files: Sequence[str], answer: Answer) -> bool:
    """Say of each file whether it is right; True if all are."""
    found = answer["files"] = []
    for file in files:
        try:
            kind, *notes = validated(file)
        except ConfigurationError as error:
            print(error if error.file is not None else f"{file}: {error}")
            where = {"in": error.file, "line": error.line, "key": error.key}
            found.append({"file": file, "right": False, "problem": error.problem, **where})
            continue
        print(f"{file}: a {kind} in order")
        for words in notes:
            print(f"  note: {words}")
        found.append({"file": file, "right": True, "kind": kind, "notes": notes})
    return all(item["right"] for item in found)
