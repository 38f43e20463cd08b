"""`labrhel estop` and `labrhel reset`."""

from __future__ import annotations

from labrhel import estop


def press() -> bool:
    """Stop everything; True if every rig said that it is safe."""
    answers = estop.press()
    for answer in answers:
        words = (
            f"safe after {1e3 * answer.seconds:.0f} ms" if answer.seconds is not None else f"NOT SAFE: {answer.problem}"
        )
        print(f"{answer.rig} (process {answer.pid}): {words}")
    if not answers:
        print("no program of this machine drives a rig")
    print("latched: nothing runs until `labrhel reset`")
    return all(answer.seconds is not None for answer in answers)


def reset() -> None:
    """Release the latch."""
    print("released" if estop.reset() else "the emergency stop was not latched")
