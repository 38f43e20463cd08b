"""`labrhel replay` and `labrhel compare`: a record again, and against a model."""

from __future__ import annotations

from pathlib import Path

from labrhel.replaying import replay
from labrhel.runstore import find_run


def again(run: str, root: Path, mode: str, config: Path | None, steps: int | None, rig: str | None) -> bool:
    """Replay a run; True if a strict one came out the same to the bit."""
    done = replay(find_run(run, root), mode, config=config, steps=steps, rig=rig)
    count, from_record = len(done.losses), done.answered - done.missing
    print(f"{count} gradients replayed, {from_record} shots from the record, {done.missing} from another rig")
    if count:
        print(f"loss {done.losses[0]:.6g} -> {done.losses[-1]:.6g}")
    if done.same:
        print("parameters are the same to the bit")
    else:
        print(f"parameters differ from the record's by up to {done.largest:.3g}")
        for name, value in list(done.parameters.items())[:20]:
            print(f"    {name:28} {value:.8g}")
    factor = done.recorded / done.seconds if done.seconds else 0.0
    print(f"took {done.seconds:.2f} s; the recording took {done.recorded:.2f} s ({factor:.1f} times as long)")
    return done.same or mode != "strict" or config is not None
