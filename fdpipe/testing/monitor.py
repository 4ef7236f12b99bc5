"""The fake monitor."""

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
        self.begun = 0
        self.seen: list[Exchange] = []

    def begin(self) -> None:
        """Count it."""
        self.begun += 1

    def observe(self, exchange: Exchange) -> None:
        """Keep it."""
        self.seen.append(exchange)
