"""The fake energy meter."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fdpipe.energy import Counter, Means


@dataclass(frozen=True, kw_only=True)
class FakeMeter:
    """Counts `watts` as long as anybody lives; with `broken` it cannot be read, for that reason."""

    covers: ClassVar[str] = "the fake machine"

    watts: float = 10.0
    broken: str = ""

    def absent(self) -> str:
        """The reason that it was given, if any."""
        return self.broken

    def read(self) -> Mapping[str, Counter]:
        """One counter, from the clock."""
        return {"all": Counter(joules=time.perf_counter() * self.watts)}


def fake_means(
    processor: FakeMeter | None = None, gpu: FakeMeter | None = None, tdp_watts: float | None = None, cores: int = 2
) -> Means:
    """What a machine has: nothing, unless it is given."""
    return Means(
        processor=processor, gpu=gpu, why_no_processor="the fake processor has no counter",
        why_no_gpu="the fake GPU has no counter", tdp_watts=tdp_watts, cores=cores,
    )  # fmt: skip
