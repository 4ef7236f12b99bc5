"""`fdpipe conformance`: whether a running service keeps to its protocols."""

from collections.abc import Sequence
from pathlib import Path

from fdpipe.artifacts import LoadResult
from fdpipe.cli.session import Session
from fdpipe.cli.tables import table
from fdpipe.conformance import kit
from fdpipe.conformance.rest import Post
from fdpipe.conformance.result import Outcome, Verdict
from fdpipe.conformance.subject import Place
from fdpipe.errors import ConfigError, Exit
from fdpipe.load.modes import Closed
from fdpipe.load.sending import Address, Job, send
from fdpipe.load.wire import Request

CALLERS = 4

_STYLES = {Outcome.PASSED: "", Outcome.VIOLATED: "bold red", Outcome.SKIPPED: "dim"}


def place(
    url: str, headers: Sequence[str], *, grpc: str, model: str, golden: Path | None, mib: float | None, timeout_s: float
) -> Place:
    """From what was typed; `ConfigError` for an address or a header that is none."""
    pairs = [header.partition(":") for header in headers]
    if wrong := [header for header, (name, colon, _) in zip(headers, pairs, strict=True) if not (name.strip() and colon)]:
        raise ConfigError(f"--header must be NAME:VALUE, not {wrong[0]!r}")
    try:
        return Place(
            url=url.rstrip("/"),
            model=model,
            grpc=grpc,
            golden=golden,
            max_body_bytes=None if mib is None else int(mib * 2**20),
            headers={name.strip(): value.strip() for name, _, value in pairs},
            timeout_s=timeout_s,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def conformance(session: Session, place: Place, seconds: float) -> int:
    """Every check, with a load of so many seconds; none where that is 0."""

    def load(url: str, posts: Sequence[Post]) -> LoadResult:
        headers = dict(place.headers)
        requests = [Request(path=one.path, content=one.body, headers={**headers, **one.headers}) for one in posts]
        job = Job(load=Closed(concurrency=CALLERS, seconds=seconds), requests=requests)
        (result,) = send(Address(host=url, timeout_s=place.timeout_s), [job])
        return result

    verdict = kit.run(place, load if seconds else None)
    if session.as_json:
        session.give({"passed": verdict.passed, "verdict": verdict.text, **_as_data(verdict)})
    else:
        _show(session, verdict)
    return Exit.DONE if verdict.passed else Exit.REJECTED


def _as_data(verdict: Verdict) -> dict[str, object]:
    return {"url": verdict.url, "model": verdict.model, "rows": verdict.rows, "results": verdict.results}


def _show(session: Session, verdict: Verdict) -> None:
    rows = [(one.kind, one.check, one.outcome, one.told) for one in verdict.results]
    styles = [_STYLES[one.outcome] for one in verdict.results]
    session.console().print(table(("", "check", "outcome", "what was seen"), rows, styles=styles))
    session.say(f"{verdict.url}, model {verdict.model or 'unknown'}: {'passed' if verdict.passed else 'not passed'}")
    session.say(f"  {verdict.text}")
