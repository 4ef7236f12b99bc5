"""The service under test: where it is, what it turned out to speak, and what it is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

from fdpipe.arrays import Batch, join, rows_in, take
from fdpipe.artifacts import LoadResult
from fdpipe.conformance.model import Model
from fdpipe.conformance.remote import Remote
from fdpipe.conformance.rest import Post, Rest
from fdpipe.conformance.result import NotShown, Violation
from fdpipe.conformance.rows import Rows

Load = Callable[[str, Sequence[Post]], LoadResult]
"""Puts the service at this URL under a short load of these requests. It is the caller's to give."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where to look: `url` is `http://HOST:PORT`, of ours any of the two that speak HTTP. What is empty is looked for: the
    model's name, and gRPC's `host:port`. `headers` go with every request, `max_body_bytes` is the service's own limit."""

    url: str
    model: str = ""
    grpc: str = ""
    golden: Path | None = None
    max_body_bytes: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """A URL without a path, and `host:port`."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not _has_port(parts.netloc, self.url) or parts.path not in ("", "/"):
            raise ValueError(f"url must be http://HOST:PORT, not {self.url!r}")
        if self.grpc and not _has_port(self.grpc, f"//{self.grpc}"):
            raise ValueError(f"grpc must be HOST:PORT, not {self.grpc!r}")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A service that answers. Where it does not speak a protocol, there is a reason instead of a client."""

    place: Place
    client: httpx.Client
    rest: Rest | str
    remote: Remote | str
    described: object
    model: Model | str
    rows: Rows | str
    load: Load | None = None

    def over_rest(self) -> Rest:
        """`NotShown` where it has none."""
        if isinstance(self.rest, str):
            raise NotShown(self.rest)
        return self.rest

    def over_grpc(self) -> Remote:
        """`NotShown` where it has none."""
        if isinstance(self.remote, str):
            raise NotShown(self.remote)
        return self.remote

    def inputs(self) -> Batch:
        """All rows that it is asked; `NotShown` where there are none."""
        if isinstance(self.rows, str):
            raise NotShown(self.rows)
        return self.rows.inputs

    def several(self) -> Batch:
        """All rows, of a model that takes several at once; `NotShown` for another."""
        inputs = self.inputs()
        if isinstance(self.model, Model) and self.model.inputs and not self.model.is_batchable:
            raise NotShown("the first axis of its inputs is not any number of rows, so that there is nothing to put together")
        if rows_in(inputs) < 2:
            raise NotShown("there is only one row")
        return inputs

    def singles(self) -> list[Batch]:
        """Each row as a request of its own; of a model with a fixed first axis all as one."""
        inputs = self.inputs()
        if isinstance(self.model, Model) and self.model.inputs and not self.model.is_batchable:
            return [inputs]
        return [take(inputs, slice(row, row + 1)) for row in range(rows_in(inputs))]

    def ask(self, inputs: Batch) -> dict[str, np.ndarray]:
        """Over the first protocol that there is; `Violation` for a wrong reply."""
        return self.over_grpc().ask(inputs) if isinstance(self.rest, str) else self.rest.ask(inputs)

    @cached_property
    def alone(self) -> list[dict[str, np.ndarray]]:
        """What each row is answered that is asked alone, to which others are compared; `NotShown` where one is not answered,
        which the protocol's own check tells."""
        if isinstance(self.rest, str) and isinstance(self.remote, str):
            raise NotShown("it speaks no protocol that a row could be asked over")
        try:
            return [self.ask(row) for row in self.singles()]
        except Violation as error:
            raise NotShown(f"what a row alone is answered is not known: {error}") from error

    def answers_by_row(self) -> dict[str, np.ndarray]:
        """Those below each other; `NotShown` where an answer is not one a row."""
        self.several()
        if any(array.shape[:1] != (1,) for answers in self.alone for array in answers.values()):
            raise NotShown("the answers to one row are not one a row")
        try:
            return join(self.alone)
        except ValueError as error:
            raise NotShown(f"the rows' answers differ in shape: {error}") from error


def _has_port(netloc: str, url: str) -> bool:
    try:
        return bool(netloc) and bool(urlsplit(url).hostname) and urlsplit(url).port is not None
    except ValueError:
        return False
