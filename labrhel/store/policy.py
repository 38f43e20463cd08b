"""Which shots keep their traces: the recording policy of a run."""

from __future__ import annotations

from dataclasses import dataclass

from labrhel.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Policy:
    """Keep waveforms and captures of the operations of every `every`-th step; None keeps none.

    Scalars, parameters, checkpoints, warnings, settings and the digests of all shots are kept always.
    """

    every: int | None = 1

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read "all", "every N" or "none"; raises ConfigurationError for anything else."""
        words = text.split()
        if words == ["all"]:
            return cls(1)
        if words == ["none"]:
            return cls(None)
        if len(words) == 2 and words[0] == "every" and words[1].isdecimal() and int(words[1]) > 0:
            return cls(int(words[1]))
        raise ConfigurationError(f"traces are kept of all, every N (a whole number from 1), or none; not {text!r}")

    def __str__(self) -> str:
        return {None: "none", 1: "all"}.get(self.every, f"every {self.every}")

    def keeps(self, step: int) -> bool:
        """True if shots made during `step` keep waveforms and captures."""
        return self.every is not None and step % self.every == 0

    def what_is_missing(self) -> str:
        """What this policy makes impossible afterwards, in words; "" if nothing."""
        if self.every == 1:
            return ""
        if self.every is None:
            return (
                "no traces were kept: the run cannot be replayed, no twin can be fitted to it, and no other eps, rule "
                "or model can be tried on it; scalars, parameters and digests are complete"
            )
        return (
            f"traces were kept for one step in {self.every}: other steps cannot be replayed, and twins, other "
            "eps, rules and models can be tried on the kept steps only; scalars, parameters and digests are complete"
        )
