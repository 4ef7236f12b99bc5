"""prove: the release, started as it will be deployed, answers golden requests rightly over its real protocols, and how fast."""

import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fdpipe import bento, progress, sizing
from fdpipe.artifacts import PORTS, Candidate, Measured, Proof, Release
from fdpipe.conformance import golden, kit
from fdpipe.conformance.subject import Place
from fdpipe.errors import DeploymentError, SourceError
from fdpipe.home import home
from fdpipe.load import promise
from fdpipe.store import stage

if TYPE_CHECKING:
    from fdpipe.plan import ServiceSettings

FIRST_SPARE_PORT = 3100
HOST = "127.0.0.1"
READY_S = 120.0
DRAIN_S = 5.0
_ATTEMPTS = 5


NOTHING = promise.Wanted()


@stage(machine_bound=True)
def prove(folder: Path, release: Release, wanted: promise.Wanted = NOTHING) -> Proof:
    """What it answered, and how fast beside what is `wanted`; a service that does not start is refused like one that answers
    wrongly, or that misses a limit.

    `DeploymentError` where no port is free to ask it on.
    """
    port = FIRST_SPARE_PORT
    for _ in range(_ATTEMPTS):
        port = bento.free_port(HOST, port)
        try:
            return _ask(folder / f"service-{port}.log", release, port, wanted)
        except bento.PortTaken:
            port += PORTS
        except DeploymentError as error:
            return _refusal(release, str(error))
    raise DeploymentError(f"ports were taken {_ATTEMPTS} times while the service started on them: run again")


def wanted(service: "ServiceSettings", measured: Measured, candidate: Candidate, *, batchable: bool) -> promise.Wanted:
    """What a release of this candidate is asked for: what the benchmark promised, and the limits of the service's settings."""
    traffic = sizing.traffic(sizing.Wishes.of(service), measured, candidate, batchable=batchable)
    return promise.Wanted(
        promised_ms=promise.promised_ms(measured, candidate.name),
        expected=sizing.expected(traffic, measured, candidate.name),
        p99_ms=service.p99_ms,
        requests_per_s=service.requests_per_s,
    )


def not_run(release: Release, reason: str) -> Proof:
    """The proof of a release that cannot be started on this machine: nothing was asked, and so it does not hold."""
    return _refusal(release, f"not run here: {reason}")


def address(release: Release, host: str, port: int) -> golden.Address:
    """Where a release's service, started on this port, is asked."""
    api, open_inference, over_grpc = (bento.url(host, one) for one in range(port, port + PORTS))
    return golden.Address(
        api=api, open_inference=open_inference, model=release.model.name, grpc=over_grpc.removeprefix("http://")
    )


def _ask(log: Path, release: Release, port: int, wanted: promise.Wanted) -> Proof:
    with tempfile.TemporaryDirectory(prefix="proof-") as scratch:
        launch = bento.Launch(
            service=f"proof-of-{release.service}-{uuid.uuid4().hex}",  # never another proof's mark: these would be killed
            bento=release.path,
            host=HOST,
            port=port,
            home=home(),
            scratch=Path(scratch),
            log=log,
        )
        started = bento.start(launch)
        try:
            started.wait_ready(READY_S)
            at = address(release, HOST, port)
            heard = golden.ask(release.golden, at)
            violated = "" if heard.wrong else _violated(release, at)
            kept = promise.Kept() if heard.wrong else promise.ask(release.golden, at.open_inference, at.model, wanted)
        finally:
            started.stop(DRAIN_S)
    if kept.note:
        progress.note(kept.note)
    return _proof(release, heard, replace(kept, refused="; ".join(filter(None, (violated, kept.refused)))), wanted)


def _violated(release: Release, at: golden.Address) -> str:
    """In what the service does not keep to its protocols, by the conformance kit's quick form; empty where it keeps to all
    that it speaks."""
    place = Place(url=at.open_inference, model=at.model, grpc=at.grpc, golden=release.golden)
    try:
        violations = kit.quick(place).violations
    except SourceError as error:
        return str(error)
    if not violations:
        return ""
    first = violations[0]
    return f"the service violates {len(violations)} checks of `fdpipe conformance`, first of all {first.check}: {first.told}"


def _proof(release: Release, heard: golden.Heard, kept: promise.Kept, wanted: promise.Wanted) -> Proof:
    told = f"{heard.requests - heard.wrong} of {heard.requests} golden requests were answered rightly"
    more = heard.first_wrong or kept.refused
    return Proof(
        release=release.digest,
        requests=heard.requests,
        wrong=heard.wrong,
        protocols=heard.protocols,
        largest_difference=heard.largest_difference,
        reason=f"{told}; {more}" if more else told,
        loads=kept.loads,
        promised_ms=wanted.promised_ms,
        bare_ms=kept.bare_ms,
        expected=wanted.expected,
        told=promise.told(kept, wanted),
        note=kept.note,
        refused=kept.refused,
    )


def _refusal(release: Release, reason: str) -> Proof:
    return Proof(release=release.digest, requests=0, wrong=0, protocols=(), largest_difference=0.0, reason=reason)
