"""Guard for the flat package names: `drivers` or `calibration` may be somebody else's.

labrhel installs five top-level packages, four of them with generic names.  Should another distribution in the same
environment own one of these names, a clear ImportError at import is better than a strange AttributeError later.
"""

from __future__ import annotations

from pathlib import Path


def require_sibling(name: str, file: str | None) -> None:
    """Raise ImportError unless the package `name` lies beside the `labrhel` that is running."""
    home = Path(__file__).resolve().parent.parent
    found = Path(file or "").resolve().parent.parent
    if found != home:
        raise ImportError(
            f"the package {name!r} was found in {found}, but labrhel runs from {home}: another project shadows it. "
            "Install labrhel in a virtual environment of its own"
        )
