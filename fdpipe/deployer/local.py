"""A release as a local process under a detached supervisor; and the services of a state folder, to list, start and stop."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fdpipe import bento
from fdpipe.access import Access
from fdpipe.artifacts import Deployment, Proof, Release
from fdpipe.deployer.folder import Settings
from fdpipe.deployer.service import Service, ServiceStatus
from fdpipe.errors import ConfigError, DeploymentError
from fdpipe.home import open_home


@dataclass(frozen=True, kw_only=True)
class Local:
    """Runs the release on this machine. `ready_timeout_s` bounds its start, `drain_timeout_s` what is under way at its end.
    The rest are paths: of API keys, one a line, of which callers must send one; of the service's certificate and key, for TLS;
    of the authority whose certificates callers must show. A service reads them when it starts."""

    ready_timeout_s: float = 120.0
    drain_timeout_s: float = 10.0
    keys_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None

    def __post_init__(self) -> None:
        """Ranges."""
        if self.ready_timeout_s <= 0 or self.drain_timeout_s < 0:
            raise ValueError("ready_timeout_s must be above 0 and drain_timeout_s must not be negative")
        self._access()

    def deploy(self, release: Release, proof: Proof, host: str, port: int) -> Deployment:
        """Replace what runs, or do nothing where this release runs already and answers.

        The old service stops, the new one starts and must answer; if it does not, the old one is started again and
        `DeploymentError` raised.
        """
        if not proof.covers(release):
            raise DeploymentError(f"release {release.digest[:12]} has no proof that holds: {proof.reason}")
        service = Service(open_home(), release.service)
        access = self._access()
        with service.at_work():
            if changed := not service.runs(release, host, port, access):
                self._replace(service, release, host, port)
            address = service.releases.address(release.service)
        url = bento.url(host, address.port, access.scheme) if address else ""
        return Deployment(service=release.service, release=release.digest, url=url, changed=changed)

    def _replace(self, service: Service, release: Release, host: str, port: int) -> None:
        with ExitStack() as undo:
            deployment = service.releases.begin(release)
            undo.push(lambda _, error, __: service.releases.fail(deployment, str(error) or type(error).__name__))
            undo.callback(service.restore, wait=True)
            settings = self._settings(release, host, service.take_port(host, port))
            service.bring(release, settings, deployment)
            try:
                pid = service.swap(release, settings)
            except DeploymentError as error:
                raise DeploymentError(f"the new release of {release.service} is not deployed: {error}") from error
            service.releases.go_live(deployment, bento.url(host, settings.port, settings.access.scheme), pid)
            undo.pop_all()
        service.tidy()

    def _settings(self, release: Release, host: str, port: int) -> Settings:
        return Settings(
            service=release.service,
            release=release.digest,
            bento=release.digest[:12],
            host=host,
            port=port,
            ready_s=self.ready_timeout_s,
            drain_s=self.drain_timeout_s,
            access=self._access(),
        )

    def _access(self) -> Access:
        """`ValueError` for what does not belong together."""
        paths = {"keys_file": self.keys_file, "certificate": self.certificate, "key": self.key, "client_ca": self.client_ca}
        return Access(**{name: str(Path(path).expanduser().resolve()) for name, path in paths.items() if path})


def services(home: Path) -> list[ServiceStatus]:
    """Every service that was ever deployed from this state folder; a deployment that was killed half-way is undone first."""
    if not (home / "releases.sqlite").exists():
        return []
    names = [row.name for row in Service(home, "").releases.services()]
    return [status for name in names if (status := Service(home, name).status()) is not None]


def start_service(home: Path, name: str) -> ServiceStatus:
    """Start what is deployed, where it does not run; `ConfigError` for an unknown name, `DeploymentError` if it fails."""
    service = _known(home, name)
    with service.at_work():
        return service.start()


def stop_service(home: Path, name: str) -> ServiceStatus:
    """Stop it, where it runs; it stays what is deployed. `ConfigError` for an unknown name."""
    service = _known(home, name)
    with service.at_work():
        return service.stop()


def log_path(home: Path, name: str) -> Path:
    """Where the service's log is; `ConfigError` for an unknown name."""
    return _known(home, name).folder.log


def _known(home: Path, name: str) -> Service:
    known = [status.service for status in services(home)]
    if name not in known:
        raise ConfigError(f"there is no service {name!r}: {', '.join(known) or 'none is deployed'}")
    return Service(home, name)
