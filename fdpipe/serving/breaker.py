"""A circuit breaker around what is outside this process: what fails again and again is left alone for a while.

The method is in Nygard, "Release It!", chapter 5; the library is purgatory, which knows when to open and to close.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import CLOSED, OPENED, OpenedState

T = TypeVar("T")

log = logging.getLogger(__name__)


class Breaker:
    """After so many `failures` in a row nothing is called for `seconds`, and then one call is the trial. `told` hears whether
    it is open, whenever that changes."""

    def __init__(self, name: str, *, failures: int, seconds: float, told: Callable[[bool], None]) -> None:
        self._name, self._told = name, told
        self._trial = False
        # who leaves says nothing of the other side
        self._factory = AsyncCircuitBreakerFactory(failures, seconds, exclude=[asyncio.CancelledError])
        self._factory.add_listener(self._heard)

    async def call(self, work: Callable[[], Awaitable[T]], failures: tuple[type[Exception], ...]) -> T | None:
        """What `work` gives; None where it raises one of `failures`, or is not called."""
        breaker = await self._factory.get_breaker(self._name)
        is_trial = breaker.context.state != CLOSED
        if is_trial and self._trial:
            return None
        self._trial = is_trial
        try:
            async with breaker:
                return await work()
        except OpenedState:
            return None
        except failures as error:
            log.debug("%s: %s", self._name, error)
            return None
        finally:
            if is_trial:
                self._trial = False

    def _heard(self, name: str, event: str, about: object) -> None:
        state = getattr(about, "state", None)
        if event == "state_changed" and state in (OPENED, CLOSED):
            if state == OPENED:
                log.warning("%s fails: it is not asked for a while", name)
            else:
                log.warning("%s answers again", name)
            self._told(state == OPENED)
