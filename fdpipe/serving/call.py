"""One request under way, whatever protocol it came by, and the reply of those that came by HTTP."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fdpipe.arrays import Batch

if TYPE_CHECKING:
    from fdpipe.serving.refusal import Refusal

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, as ASGI has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a request's records became."""

    records: Batch
    tensors: Batch
    answers: dict[str, np.ndarray]


@dataclass(slots=True, eq=False)
class Call:
    """What its handlers know of it and note of it. `deadline` is a time of `time.monotonic`, after which nobody waits for the
    answer; `fresh` asks for one that was not kept from before. `error` is the kind of a refusal, `status` HTTP's. `cache` is
    how the answer was found (`Cache`), None where none is kept. Of a body `held_bytes` are here, and once it `is_read` no more
    will come; `cut` is why its task was cancelled, if it was."""

    protocol: str
    deadline: float
    fresh: bool = False
    error: str | None = None
    prediction: Prediction | None = None
    cache: str | None = None
    status: int = 0
    held_bytes: int = 0
    is_read: bool = False
    cut: "Refusal | None" = None
    started: float = field(default_factory=time.perf_counter)


@dataclass(slots=True)
class Asked:
    """A request over HTTP, its body read whole."""

    headers: Headers
    body: bytes
    call: Call

    def header(self, name: bytes) -> bytes | None:
        """The first of this name, which is in lower case."""
        for own, value in self.headers:
            if own == name:
                return value
        return None


JSON = (b"content-type", b"application/json")


@dataclass(slots=True)
class Reply:
    """What is sent back; its length and the release's name are added."""

    body: bytes
    status: int = 200
    headers: Headers = (JSON,)
