"""What requests came to, for the monitors: told together some times a second, so that no request waits for its counting."""

import asyncio
import logging
import time
from collections.abc import Sequence

from fdpipe.interfaces import Exchange, Probe
from fdpipe.serving.call import Call
from fdpipe.serving.refusal import Refusal

log = logging.getLogger(__name__)

EVERY_S = 0.05
MOST = 256
MOST_BYTES = 8 * 2**20
"""So many requests at most are kept back, and so much of their bodies: they hold their arrays."""


class Figures:
    """Used on the event loop only. `probes` may be filled later, when the worker has opened its model."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.probes = probes
        self.in_flight = 0
        self._ended: list[Exchange] = []
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A request has come."""
        self.in_flight += 1
        self._tell_soon()

    def end(self, call: Call) -> None:
        """It has ended, as the call says; a status of 0 is that of a caller who has gone."""
        self.in_flight -= 1
        self._held += call.held_bytes
        self._keep(_exchange(call))

    def refuse(self, protocol: str, refusal: Refusal) -> None:
        """A request was refused before anything was done with it."""
        self._keep(Exchange(protocol=protocol, status=refusal.status, seconds=0.0, error=refusal.kind))

    def _keep(self, exchange: Exchange) -> None:
        self._ended.append(exchange)
        if len(self._ended) >= MOST or self._held > MOST_BYTES:
            self.tell()
        else:
            self._tell_soon()

    def _tell_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self.tell)

    def tell(self) -> None:
        """Now. A monitor that fails must not take anything with it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._ended, self._held = self._ended, [], 0
        for probe in self.probes:
            try:
                probe.observe(ended, self.in_flight)
            except Exception:
                log.exception("a monitor failed")


def _exchange(call: Call) -> Exchange:
    seconds = time.perf_counter() - call.started
    status = call.status or 499
    error = call.error or ("http" if status >= 400 else None)
    found = call.prediction
    if found is None:
        return Exchange(protocol=call.protocol, status=status, seconds=seconds, error=error)
    return Exchange(
        protocol=call.protocol, status=status, seconds=seconds, error=error, records=found.records, tensors=found.tensors,
        answers=found.answers, cache=call.cache,
    )  # fmt: skip
