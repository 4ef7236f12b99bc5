"""All checks, in their order, against one service."""

from collections.abc import Sequence

import httpx

from fdpipe.conformance import description, invariants, loaded, others, probe, protocols, refusals, refusals_grpc
from fdpipe.conformance.check import Check
from fdpipe.conformance.remote import Remote
from fdpipe.conformance.rest import Rest
from fdpipe.conformance.result import Verdict
from fdpipe.conformance.rows import Rows
from fdpipe.conformance.subject import Load, Place, Subject
from fdpipe.errors import SourceError

CHECKS: tuple[Check, ...] = (
    *description.CHECKS,
    *protocols.CHECKS,
    *others.CHECKS,
    *invariants.CHECKS,
    *refusals.CHECKS,
    *refusals_grpc.CHECKS,
    *loaded.CHECKS,
)


def run(place: Place, load: Load | None = None, checks: Sequence[Check] = CHECKS) -> Verdict:
    """The verdict. `SourceError` where nobody answers, `ConfigError` where there are several
    models and none is named, or where the golden file is none."""
    with _client(place) as client:
        try:
            subject = probe.find(place, client, load)
        except httpx.HTTPError as error:
            raise SourceError(f"{place.url} stopped answering: {type(error).__name__} {error}") from error
        try:
            return _judged(subject, checks)
        finally:
            if isinstance(subject.remote, Remote):
                subject.remote.channel.close()


def _client(place: Place) -> httpx.Client:
    """It takes a new connection for each request: a server may end one after an error, and no other request is to blame."""
    return httpx.Client(
        base_url=place.url,
        headers=dict(place.headers),
        timeout=place.timeout_s,
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,
    )


def quick(place: Place) -> Verdict:
    """Without what takes seconds: for each new service."""
    return run(place, checks=[one for one in CHECKS if one.quick])


def _judged(subject: Subject, checks: Sequence[Check]) -> Verdict:
    results = tuple(check.result(subject) for check in checks)
    asked = subject.rest if isinstance(subject.rest, Rest) else subject.remote
    return Verdict(
        url=subject.place.url,
        model="" if isinstance(asked, str) else asked.model,
        rows=subject.rows.told if isinstance(subject.rows, Rows) else subject.rows,
        results=results,
    )
