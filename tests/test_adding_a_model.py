"""The code of docs/adding-a-model.md, run block after block."""

import re
from pathlib import Path

GUIDE = Path(__file__).parent.parent / "docs" / "adding-a-model.md"


def test_the_guide_runs_from_top_to_bottom() -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    # As a configuration would make it.
    chain = names["PendulumChain"]
    assert callable(chain)
    model = chain(
        3,
        inputs=("a", "b"),
        coupling="none",
        nominal={"twist": 0.1},
        time_unit=1e-3,
        position_unit="rad",
        input_unit="V",
    )
    assert model.parameters["input"].shape == (3, 2)
    assert model.parameters["initial_position"].unit == "rad"
