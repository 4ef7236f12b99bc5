"""The services of this state folder: how they stand, what they say, start and stop."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from fdpipe.cli import sample
from fdpipe.cli.session import Session
from fdpipe.cli.tables import age, table
from fdpipe.deployer.local import log_path, services, start_service, stop_service
from fdpipe.deployer.service import ServiceStatus
from fdpipe.errors import Exit
from fdpipe.home import home
from fdpipe.releases import Releases

COLUMNS = ("service", "state", "address", "release", "since", "restarts")
LOOK_EVERY_S = 0.3


def status(session: Session) -> int:
    """Every service that is deployed."""
    return _show(session, services(home()))


def start(session: Session, name: str | None) -> int:
    """One, or all that do not run."""
    return _show(session, [start_service(home(), one) for one in _named(name)])


def stop(session: Session, name: str | None) -> int:
    """One, or all."""
    return _show(session, [stop_service(home(), one) for one in _named(name)])


def logs(session: Session, name: str, lines: int, follow: bool) -> int:
    """The last lines, and then what comes, until it is interrupted."""
    path = log_path(home(), name)
    written = path.read_text(errors="replace").splitlines() if path.exists() else []
    for line in written[len(written) - min(lines, len(written)) :]:
        session.say(line)
    if follow:
        _follow(path, session.say)
    return Exit.DONE


def _named(name: str | None) -> list[str]:
    return [name] if name else [one.service for one in services(home())]


def _show(session: Session, found: list[ServiceStatus]) -> int:
    if session.as_json:
        session.give({"services": [_as_data(one) for one in found]})
    elif found:
        session.console().print(table(COLUMNS, [_row(one) for one in found]))
    else:
        session.say("no service is deployed")
    return Exit.DONE


def _as_data(one: ServiceStatus) -> dict[str, Any]:
    """For machines also a request to the service, and the known answers to it."""
    release = Releases(home() / "releases.sqlite", home() / "store").live(one.service)
    data: dict[str, Any] = msgspec.to_builtins(one)
    return data | ({"curl": sample.curl(release, one.url), "expected": sample.expected(release)} if release else {})


def _row(one: ServiceStatus) -> tuple[str, ...]:
    state = f"{one.state}: {one.reason}" if one.reason else one.state
    return one.service, state, one.url, one.release[:12], age(one.since), str(one.restarts)


def _follow(path: Path, say: Callable[[str], None]) -> None:
    """Like `tail -F`: from the end on, and from the beginning where the file was cut."""
    at = path.stat().st_size
    rest = b""
    while True:
        size = path.stat().st_size
        if size < at:
            at, rest = 0, b""
        if size > at:
            with path.open("rb") as stream:
                stream.seek(at)
                *lines, rest = (rest + stream.read()).split(b"\n")
                at = stream.tell()
            for line in lines:
                say(line.decode(errors="replace"))
        time.sleep(LOOK_EVERY_S)
