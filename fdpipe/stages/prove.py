"""prove: the release, started as it will be deployed, answers golden requests rightly over its real protocols."""

import tempfile
import uuid
from pathlib import Path

from fdpipe import bento
from fdpipe.artifacts import PORTS, Proof, Release
from fdpipe.conformance import golden
from fdpipe.errors import DeploymentError
from fdpipe.home import home
from fdpipe.store import stage

FIRST_SPARE_PORT = 3100
HOST = "127.0.0.1"
READY_S = 120.0
DRAIN_S = 5.0
_ATTEMPTS = 5


@stage(machine_bound=True)
def prove(folder: Path, release: Release) -> Proof:
    """What it answered; a service that does not start is refused like one that answers wrongly.

    `DeploymentError` where no port is free to ask it on.
    """
    port = FIRST_SPARE_PORT
    for _ in range(_ATTEMPTS):
        port = bento.free_port(HOST, port)
        try:
            return _proof(release, _ask(folder / f"service-{port}.log", release, port))
        except bento.PortTaken:
            port += PORTS
        except DeploymentError as error:
            return _refusal(release, str(error))
    raise DeploymentError(f"ports were taken {_ATTEMPTS} times while the service started on them: run again")


def not_run(release: Release, reason: str) -> Proof:
    """The proof of a release that cannot be started on this machine: nothing was asked, and so it does not hold."""
    return _refusal(release, f"not run here: {reason}")


def address(release: Release, host: str, port: int) -> golden.Address:
    """Where a release's service, started on this port, is asked."""
    return golden.Address(api=bento.url(host, port), open_inference=bento.url(host, port + 1), model=release.model.name)


def _ask(log: Path, release: Release, port: int) -> golden.Heard:
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
            return golden.ask(release.golden, address(release, HOST, port))
        finally:
            started.stop(DRAIN_S)


def _proof(release: Release, heard: golden.Heard) -> Proof:
    told = f"{heard.requests - heard.wrong} of {heard.requests} golden requests were answered rightly"
    return Proof(
        release=release.digest,
        requests=heard.requests,
        wrong=heard.wrong,
        protocols=heard.protocols,
        largest_difference=heard.largest_difference,
        reason=f"{told}; {heard.first_wrong}" if heard.first_wrong else told,
    )


def _refusal(release: Release, reason: str) -> Proof:
    return Proof(release=release.digest, requests=0, wrong=0, protocols=(), largest_difference=0.0, reason=reason)
