from pathlib import Path

import pytest

import labrhel
from labrhel.siblings import require_sibling


def test_a_package_beside_labrhel_is_accepted() -> None:
    home = Path(labrhel.__file__).parent.parent
    file = home / "drivers" / "__init__.py"
    assert file.exists()
    require_sibling("drivers", str(file))  # raises if it is refused


@pytest.mark.parametrize("file", ["/elsewhere/drivers/__init__.py", None])
def test_a_stranger_with_a_generic_name_is_refused_by_name_and_place(file: str | None) -> None:
    with pytest.raises(ImportError, match=r"'drivers' was found in .* another project shadows it"):
        require_sibling("drivers", file)
