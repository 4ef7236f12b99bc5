"""The search for the highest rate, on a real service: each try is an open loop of its own."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from fdpipe.errors import DeploymentError
from fdpipe.load.modes import Closed, Open
from fdpipe.load.objective import Found, Objective, Try, highest_rate
from fdpipe.load.sending import Address, Job, send
from fdpipe.load.wire import Request

FIRST_CALLERS = 16
FIRST_S = 1.0
FIRST_SHARE = 0.6
"""The first rate that is tried: this share of what so many callers in a closed loop get."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is asked, and where."""

    address: Address
    requests: Sequence[Request]


def highest_rate_of(service: Service, objective: Objective) -> Found:
    """Search from what a closed loop gets; `DeploymentError` where the service answers nothing, or not with success.

    A request that takes 20 times the objective counts as never answered, so that a service which was asked too much is soon
    free for the next try.
    """
    patience_s = min(service.address.timeout_s, max(1.0, 20 * objective.p99_ms / 1000))
    impatient = replace(service, address=replace(service.address, timeout_s=patience_s))
    seeds = count()

    def attempt(rate: float) -> Try:
        started = time.monotonic()
        seconds = objective.seconds_at(rate)
        load = Open(rate=rate, seconds=seconds, seed=next(seeds))
        (result,) = send(impatient.address, [Job(load=load, requests=service.requests)])
        return Try(
            rate=rate,
            p99_ms=result.from_intended.p99_ms,
            sent_p99_ms=result.from_sent.p99_ms,
            seconds=time.monotonic() - started,
            late=result.not_measured,
        )

    return highest_rate(objective, _first(service), attempt)


def _first(service: Service) -> float:
    (found,) = send(service.address, [Job(load=Closed(concurrency=FIRST_CALLERS, seconds=FIRST_S), requests=service.requests)])
    if not found.succeeded:
        answers = ", ".join(f"{status} × {number}" for status, number in found.statuses.items())
        raise DeploymentError(f"no request succeeded: {answers}")
    return max(1.0, FIRST_SHARE * found.requests_per_s)
