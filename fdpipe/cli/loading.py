"""`fdpipe load` and `fdpipe slo`: a running service under load, and the rate that it holds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fdpipe import bento
from fdpipe.artifacts import Latency, LoadResult
from fdpipe.cli.session import Session
from fdpipe.cli.tables import table
from fdpipe.conformance.golden import infer_path
from fdpipe.deployer.local import services
from fdpipe.errors import ConfigError, DeploymentError, Exit, among
from fdpipe.home import home
from fdpipe.load import trying
from fdpipe.load.modes import Closed, Load, Open
from fdpipe.load.objective import Found, Objective
from fdpipe.load.requests import Form, from_golden, from_lines, recorded
from fdpipe.load.sending import Address, Job, send
from fdpipe.load.wire import Request
from fdpipe.releases import Releases


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where the requests go and what they are: of a service its golden rows, else those of `requests`, a file of golden rows
    (.npz) or of bodies, one a line."""

    target: str
    requests: Path | None = None
    form: str = Form.JSON
    rows: int = 1
    timeout_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Offered:
    """Which load: one of `concurrency`, `rate` and `replay` (at `speed`); none of them is one caller."""

    concurrency: int | None = None
    rate: float | None = None
    replay: Path | None = None
    speed: float = 1.0
    seconds: float = 5.0
    seed: int = 0


def load(session: Session, to: Destination, offered: Offered, p99_ms: float | None, typed: Collection[str]) -> int:
    """One load, what came of it and, with a `p99_ms`, whether it held that. `typed` are the options that were given, by name:
    one that this load has no use for is a `ConfigError`."""
    _fits(to, offered, typed)
    address, path, golden = _where(to)
    try:
        if offered.replay:
            requests, chosen = recorded(offered.replay, path, offered.speed)
            job = Job(load=chosen, requests=requests)
        else:
            job = Job(load=_load(offered), requests=_requests(to, path, golden))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    (result,) = send(address, [job])
    if session.as_json:
        session.give(result)
    else:
        _show(session, result)
    return _exit(session, result, p99_ms)


def slo(session: Session, to: Destination, objective: Objective, at_least: float | None, typed: Collection[str]) -> int:
    """The highest rate that holds the objective; with `at_least`, whether it is that high. `typed` as for `load`."""
    _refuse_idle(typed, _about_rows(to))
    address, path, golden = _where(to)
    service = trying.Service(address=address, requests=_requests(to, path, golden))
    found = trying.highest_rate_of(service, objective)
    if session.as_json:
        session.give(found)
    else:
        _show_found(session, found)
    return _judged(session, found, at_least)


WORDS = frozenset({"requests", "form", "rows"})
"""The options that say what the requests are."""


def _fits(to: Destination, offered: Offered, typed: Collection[str]) -> None:
    """Whether every option that was typed has a use for this load; `ConfigError` naming the first that has none."""
    kinds = {"concurrency": offered.concurrency, "rate": offered.rate, "replay": offered.replay}
    if sum(one is not None for one in kinds.values()) > 1:
        raise ConfigError("--concurrency, --rate and --replay are three kinds of load: give one of them")
    if offered.replay is not None:
        why = "a replay, which sends what was recorded at its own times: it takes --speed, --timeout and --p99-ms"
        _refuse_idle(typed, dict.fromkeys((*WORDS, "seconds", "seed"), why))
        return
    kind = "an open loop" if offered.rate is not None else "a closed loop"
    why = f"{kind}, only to --replay: it takes --seconds, --seed, --requests, --form, --rows, --timeout and --p99-ms"
    _refuse_idle(typed, {"speed": why} | _about_rows(to))


def _about_rows(to: Destination) -> dict[str, str]:
    """What bodies from a file have no use for."""
    if to.requests is None or to.requests.suffix == ".npz":
        return {}
    why = f"the bodies in {to.requests}, which are sent as they are: only golden rows (.npz) take --form and --rows"
    return {"form": why, "rows": why}


def _refuse_idle(typed: Collection[str], idle: Mapping[str, str]) -> None:
    for name in sorted(typed):
        if name in idle:
            raise ConfigError(f"--{name} does not apply to {idle[name]}")


def _load(offered: Offered) -> Load:
    if offered.rate is not None:
        return Open(rate=offered.rate, seconds=offered.seconds, seed=offered.seed)
    return Closed(concurrency=offered.concurrency or 1, seconds=offered.seconds, seed=offered.seed)


def _where(to: Destination) -> tuple[Address, str, Path | None]:
    """The address, the path, and the golden rows of a service by its name."""
    if "://" not in to.target:
        return _service(to)
    parts = urlsplit(to.target)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path in ("", "/"):
        raise ConfigError(f"{to.target} is no address to post to: it must be http://HOST:PORT/v2/models/NAME/infer")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return Address(host=f"{parts.scheme}://{parts.netloc}", timeout_s=to.timeout_s), path, None


def _service(to: Destination) -> tuple[Address, str, Path | None]:
    known = {one.service: one for one in services(home())}
    found = known.get(to.target)
    if found is None:
        raise ConfigError(f"there is no service {to.target!r}: {among(to.target, known)}")
    release = Releases(home() / "releases.sqlite", home() / "store").live(to.target)
    parts = urlsplit(found.url)
    if found.state != "running" or release is None or not parts.hostname or parts.port is None:
        raise DeploymentError(f"{to.target} is {found.state}: start it with `fdpipe start {to.target}`")
    open_inference = bento.url(parts.hostname, parts.port + 1)
    return Address(host=open_inference, timeout_s=to.timeout_s), infer_path(release.model.name), release.golden


def _requests(to: Destination, path: str, golden: Path | None) -> list[Request]:
    chosen = to.requests or golden
    if chosen is None:
        raise ConfigError("an address has no rows of its own: give --requests FILE (golden rows as .npz, or one body a line)")
    if chosen.suffix != ".npz":
        return from_lines(chosen, path)
    if not chosen.exists():
        raise ConfigError(f"{chosen} is not there")
    return from_golden(chosen, path, Form(to.form), to.rows)


def _exit(session: Session, result: LoadResult, p99_ms: float | None) -> int:
    if result.not_measured:
        session.remark(result.not_measured)
        return Exit.INCONCLUSIVE
    if not result.succeeded:
        raise DeploymentError(f"no request succeeded: {_counts(result)}")
    found = result.from_intended.p99_ms
    if p99_ms is None or (found is not None and found <= p99_ms):
        return Exit.DONE
    if found is None and result.sent < 100:
        session.remark(f"p99 needs 100 requests, there were {result.sent}: send for longer")
        return Exit.INCONCLUSIVE
    session.remark(f"p99 {_ms(found)} is above {p99_ms:g} ms")
    return Exit.REJECTED


def _judged(session: Session, found: Found, at_least: float | None) -> int:
    if found.rate is not None and (at_least is None or found.rate >= at_least):
        return Exit.DONE
    if found.failed_at is None or found.by_sender or (at_least is not None and found.failed_at > at_least):
        session.remark(f"it could not be decided: {found.ended}")
        return Exit.INCONCLUSIVE
    wanted = "any rate" if at_least is None else f"{at_least:g} requests a second"
    session.remark(f"p99 ≤ {found.objective.p99_ms:g} ms is not held at {wanted}")
    return Exit.REJECTED


def _show(session: Session, result: LoadResult) -> None:
    session.say(result.offered)
    session.say(
        f"  {result.succeeded} of {result.sent} succeeded ({_counts(result)}), {result.requests_per_s:.1f} a second; "
        f"{result.waited} found all connections taken"
    )
    if result.not_measured:
        return
    columns = ("latency", "p50", "p90", "p99", "p99.9", "slowest")
    rows = [("from the intended time", *_row(result.from_intended)), ("from the sending", *_row(result.from_sent))]
    session.console().print(table(columns, rows, right=range(1, 6)))
    sending = result.sending
    session.say(
        f"  the sender: late by {sending.late_p99_ms:.2f} ms (p99), {sending.busy:.0%} of a core; "
        f"load average {sending.load_before:.1f} before, {sending.load_after:.1f} after"
    )


def _show_found(session: Session, found: Found) -> None:
    limit = found.objective.p99_ms
    words = {True: "holds", False: "does not hold", None: "the sender was too late"}
    rows = [(f"{one.rate:.1f}", _ms(one.p99_ms), words[one.holds(limit)]) for one in found.tries]
    session.console().print(table(("rate", "p99", ""), rows, right=(0, 1)))
    above = "" if found.failed_at is None else f"; {found.failed_at:.1f} does not"
    whose = ", which is the sender's limit, not the service's" if found.by_sender else ""
    held = "no rate that was tried holds" if found.rate is None else f"{found.rate:.1f} requests a second hold"
    session.say(f"{held} p99 ≤ {limit:g} ms{above}{whose} ({found.ended})")


def _row(latency: Latency) -> tuple[str, ...]:
    return tuple(_ms(getattr(latency, name)) for name in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "slowest_ms"))


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f} ms"


def _counts(result: LoadResult) -> str:
    return ", ".join(f"{status} × {count}" for status, count in result.statuses.items()) or "nothing was sent"
