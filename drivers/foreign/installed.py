"""Which packages somebody has installed in this Python, as pip records it: only these may a station file name.

What Python would import is more: whatever lies in the working folder, and whatever lies in the folder of an editable
package beside it, such as the tests and benchmarks of labrhel's own checkout.  So a package counts only where it is
recorded, and only if Python would take it from there:

- it lies in `site-packages`, and a distribution there has it among its files; or
- a distribution there that is editable, not labrhel's, names it, and it lies in that one's folder.
"""

from __future__ import annotations

import json
import re
import site
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from labrhel.config.foreign_drivers import module_and_class
from labrhel.errors import ConfigurationError

_PACKAGES = "site-packages", "dist-packages"
_OWN = "labrhel"


def require_installed(type_: str) -> tuple[str, str]:
    """Module and class that a type names; imports nothing.

    Raises ConfigurationError for what is no such name, and for a package that is not installed.
    """
    try:
        module, name = module_and_class(type_)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    package = module.partition(".")[0]
    places = _places(package)
    if not places or not _is_installed(package, places):
        taken = f"; Python would take it from {places[0].parent}" if places else ""
        raise ConfigurationError(
            f"{package!r} is no installed package: `pip install` it; a station file names drivers, and brings none"
            + taken
        )
    return module, name


def _places(package: str) -> list[Path]:
    """The files or folders from which Python would import a package; it is not imported."""
    try:
        spec = find_spec(package)
    except ValueError:  # `__main__` and its like have none
        return []
    places = map(Path, _of(spec)) if spec is not None else ()
    return [place.parent.resolve() / place.name for place in places]


def _of(spec: ModuleSpec) -> list[str]:
    if spec.submodule_search_locations is not None:
        return list(spec.submodule_search_locations)
    return [spec.origin] if spec.has_location and spec.origin else []


def _is_installed(package: str, places: list[Path]) -> bool:
    """Whether each of its places is one where a distribution has put it: a namespace may have several."""
    folders = set(_folders())
    for place in places:
        if place.parent in folders:
            known = any(_has(found, package) for found in _distributions(place.parent, package))
        else:
            known = any(
                (root := _editable(found)) is not None and place.is_relative_to(root) and _names(found, package)
                for folder in folders
                for found in _distributions(folder, package)
            )
        if not known:
            return False
    return True


def _folders() -> Iterator[Path]:
    """The folders of installed packages, and those to which a `.pth` file there adds; none that merely stand in one."""
    paths = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    paths |= {*site.getsitepackages()} | ({site.getusersitepackages()} if site.ENABLE_USER_SITE else set())
    for path in filter(None, paths):
        yield Path(path).resolve()
        for link in sorted(Path(path).glob("*.pth")):
            for line in link.read_text(encoding="utf-8", errors="replace").splitlines():
                other = Path(path, line.strip())
                if other.name in _PACKAGES and not line.startswith(("import ", "import\t", "#")):
                    yield other.resolve()


def _distributions(folder: Path, package: str) -> Iterator[Distribution]:
    """Those of a folder; first the one that is called like the package, since asking each takes a second."""
    yield from distributions(name=package, path=[str(folder)])
    yield from distributions(path=[str(folder)])


def _has(found: Distribution, package: str) -> bool:
    """Whether a package, or a module of that name, is among the files of a distribution."""
    if package in (found.read_text("top_level.txt") or "").split():
        return True
    tops = {file.parts[0] for file in found.files or ()}
    return package in tops or any(top.partition(".")[0] == package for top in tops if not top.endswith(".pth"))


def _names(found: Distribution, package: str) -> bool:
    """Whether an editable distribution names a package as its own; where it names none, it is called like it."""
    named = (found.read_text("top_level.txt") or "").split()
    return package in named if named else _normal(found.metadata["Name"]) == _normal(package)


def _editable(found: Distribution) -> Path | None:
    """The folder of an editable distribution; None of labrhel, whose drivers have a type of their own."""
    text = found.read_text("direct_url.json")
    try:
        said = json.loads(text) if text else None
    except ValueError:
        return None
    if not (isinstance(said, dict) and isinstance(said.get("dir_info"), dict) and said["dir_info"].get("editable")):
        return None
    if _normal(found.metadata["Name"]) == _OWN:  # asked last: it takes the longest
        return None
    url = urlsplit(str(said.get("url")))
    return Path(url2pathname(url.path)).resolve() if url.scheme == "file" and url.path != "/" else None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
