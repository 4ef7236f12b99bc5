"""The check under a short load: all is answered, and what is asked meanwhile is answered rightly."""

from concurrent.futures import ThreadPoolExecutor, wait

from fdpipe.artifacts import LoadResult
from fdpipe.conformance.check import Check
from fdpipe.conformance.compare import unlike
from fdpipe.conformance.result import Kind, NotShown, Violation
from fdpipe.conformance.subject import Subject
from fdpipe.errors import DeploymentError, StageError

_PAUSE_S = 0.02
"""Between two answers that are compared: they must not be the load."""


def under_load(subject: Subject) -> str:
    """The sender counts statuses; the answers to rows that are asked beside it are compared."""
    if subject.load is None:
        raise NotShown("no load was asked for")
    rest, singles, alone = subject.over_rest(), subject.singles(), subject.alone
    asked = 0
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(subject.load, subject.place.url, [rest.post(row) for row in singles])
        while not sending.done():
            number = asked % len(singles)
            if fault := unlike(subject.ask(singles[number]), alone[number]):
                raise Violation(f"row {number}, asked under load: {fault}")
            asked += 1
            wait([sending], _PAUSE_S)
        try:
            result = sending.result()
        except (DeploymentError, StageError) as error:
            raise NotShown(f"the load could not be sent: {error}") from error
    if result.succeeded < result.sent:
        statuses = ", ".join(f"{status} × {count}" for status, count in result.statuses.items())
        raise Violation(f"{result.sent - result.succeeded} of {result.sent} requests failed: {statuses}")
    if not result.sent:
        raise NotShown("nothing was sent")
    return f"{_told(result)}; {asked} answers were compared meanwhile"


def _told(result: LoadResult) -> str:
    latency = result.from_sent
    p50, p99 = ("none" if one is None else f"{one:.2f} ms" for one in (latency.p50_ms, latency.p99_ms))
    figures = f"{result.offered}: {result.requests_per_s:.0f} a second, p50 {p50}, p99 {p99}"
    return f"{figures} ({result.not_measured})" if result.not_measured else figures


CHECKS = (
    Check(
        name="load",
        kind=Kind.LOAD,
        shows="Under a short load every request succeeds, and every answer that is compared is right.",
        look=under_load,
        quick=False,
    ),
)
