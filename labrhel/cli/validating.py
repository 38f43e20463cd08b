"""`labrhel validate`: are files right, in their own words, with no instrument on?"""

from __future__ import annotations

from collections.abc import Sequence

from labrhel.errors import ConfigurationError
from labrhel.experiment.validating import validated


def validate(files: Sequence[str]) -> bool:
    """Say of each file whether it is right; True if all are."""
    right = True
    for file in files:
        try:
            kind, *notes = validated(file)
        except ConfigurationError as error:
            right = False
            print(error if error.file is not None else f"{file}: {error}")
            continue
        print(f"{file}: a {kind} in order")
        for words in notes:
            print(f"  note: {words}")
    return right
