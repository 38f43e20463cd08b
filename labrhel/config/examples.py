"""The examples that come with labrhel, and how a configuration is found by path or by example name."""

from __future__ import annotations

from pathlib import Path

from labrhel.errors import ConfigurationError


def examples() -> dict[str, Path]:
    """Example name -> file: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples", package.parent / "examples"):
        found = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
        if found:
            return found
    return {}


def find(name: str | Path) -> Path:
    """The configuration file of that path, else the example of that name; else ConfigurationError."""
    path = Path(name)
    if path.is_file():
        return path
    known = examples()
    if str(name) in known:
        return known[str(name)]
    listed = ", ".join(known) or "none installed"
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder; name a YAML file in it, or an example: {listed}")
    raise ConfigurationError(f"there is no file {path} and no example of that name; the examples are: {listed}")
