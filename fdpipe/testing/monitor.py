"""The fake monitor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.artifacts import (
    Manifest,
)
from fdpipe.interfaces import Exchange

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


@dataclass(frozen=True, kw_only=True)
class FakeMonitor:
    """Registers nothing and counts requests."""

    def start(self, release: Manifest, registry: "CollectorRegistry") -> "FakeProbe":
        """A probe that starts from 0."""
        return FakeProbe()


class FakeProbe:
    """Keeps what it saw."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.seen: list[Exchange] = []

    def observe(self, exchanges: Sequence[Exchange], in_flight: int) -> None:
        """Keep them."""
        self.seen += exchanges
        self.in_flight = in_flight
