"""One local service: its folder and its rows, and how one release takes the place of another."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fdpipe import bento, progress
from fdpipe.access import Access
from fdpipe.artifacts import Release
from fdpipe.conformance import golden
from fdpipe.content import tree_digest
from fdpipe.deployer.folder import Folder, Settings
from fdpipe.errors import DeploymentError
from fdpipe.releases import Deployed, Releases, State
from fdpipe.store import locks

FIRST_PORT = 3000


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """How a service stands. `state` is starting, running, waiting (for a restart after a crash), stopped (by the user) or
    down (it should run and does not: start it); `since` is seconds since the epoch, `pid` the supervisor's."""

    service: str
    state: str
    release: str
    url: str
    pid: int | None
    since: float
    restarts: int
    reason: str = ""


class Service:
    """One service. What changes anything is called inside `at_work`."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.folder = Folder(home, name)
        self.releases = Releases(home / "releases.sqlite", home / "store")
        self._lock = self.folder.path / "deploy.lock"

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Nobody else changes the service meanwhile; a deployment that was killed half-way is undone first."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        handle = locks.acquire(self._lock, lambda: progress.note(f"another command is at work on {self.name}"))
        try:
            if (abandoned := self.releases.starting(self.name)) is not None:
                self.restore()
                self.releases.fail(abandoned.id, "it was interrupted")
            yield
        finally:
            os.close(handle)

    def restore(self, *, wait: bool = False) -> None:
        """Make what is deployed run again, where it does not, and nothing else; `wait` until it answers, if it can."""
        current = self.releases.current(self.name)
        if current is None:
            self.folder.halt()
            return
        settings = self.folder.settings_of(current.id)
        self.releases.keep_address(self.name, settings.host, lambda _: settings.port)
        if self.folder.settings() == settings and self.folder.state() is not None:
            return
        self.folder.halt()
        self.folder.save_settings(settings)
        if current.state is State.LIVE:
            self.folder.launch()
            if wait:
                with suppress(DeploymentError):
                    self.folder.wait_running(settings.ready_s)

    def runs(self, release: Release, host: str, port: int, access: Access) -> bool:
        """Whether this release is deployed at this address (port 0: at its own) for these callers, and answers."""
        current, settings, state = self.releases.current(self.name), self.folder.settings(), self.folder.state()
        if current is None or settings is None or state is None:
            return False
        wanted = (State.LIVE, "running", release.digest, release.digest, host, port or settings.port)
        found = (current.state, state.state, current.release, settings.release, settings.host, settings.port)
        return found == wanted and settings.access == access and bento.is_ready(host, settings.port, access=access)

    def take_port(self, host: str, wanted: int) -> int:
        """The port that is asked for, else the service's own, else the first free one; nobody else may listen there."""
        kept = self.releases.address(self.name)
        port = wanted or (kept.port if kept else 0)

        def pick(others: set[int]) -> int:
            if not port:
                return bento.free_port(host, FIRST_PORT, others)
            self.require_free(host, port)
            return port

        return self.releases.keep_address(self.name, host, pick)

    def require_free(self, host: str, port: int) -> None:
        """`DeploymentError` where somebody else listens on its ports."""
        bento.require_free(host, port, own=[process.pid for process in bento.leftovers(self.folder.home, self.name)])

    def bring(self, release: Release, settings: Settings, deployment: int) -> None:
        """Copy the Bento out of the store, and keep the settings beside it."""
        target = self.folder.releases / settings.bento
        if not (target.exists() and tree_digest(target) == tree_digest(release.path)):
            fresh = self.folder.releases / f"new-{uuid.uuid4().hex[:8]}"
            shutil.copytree(release.path, fresh)
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)
        self.folder.keep_settings(deployment, settings)

    def swap(self, release: Release, settings: Settings) -> int:
        """Stop what runs and start this; its supervisor's pid when it answers rightly."""
        self.folder.halt()
        self.folder.save_settings(settings)
        self.folder.launch()
        pid = self.folder.wait_running(settings.ready_s).pid
        access = settings.access
        if access.client_ca:
            progress.note(f"{self.name} answers callers with certificates only: that it answers rightly, the proof has shown")
            return pid
        api, open_inference = (bento.url(settings.host, settings.port + offset, access.scheme) for offset in (0, 1))
        address = golden.Address(api=api, open_inference=open_inference, model=release.model.name, access=access)
        heard = golden.ask(release.golden, address, singles=1)
        if heard.wrong:
            raise DeploymentError(f"it answered wrongly: {heard.first_wrong}")
        return pid

    def tidy(self) -> None:
        """Keep the Bentos of what is deployed and of the release before it."""
        current, previous = self.releases.live(self.name), self.releases.previous(self.name)
        kept = {release.digest[:12] for release in (current, previous) if release}
        for folder in self.folder.releases.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder)

    def start(self) -> ServiceStatus:
        """Start what is deployed, where it does not run; `DeploymentError` if it does not come up."""
        current = self._deployed()
        settings = self.folder.settings_of(current.id)
        if self.folder.state() is None:
            self.require_free(settings.host, settings.port)
            self.folder.save_settings(settings)
            self.folder.launch()
        try:
            pid = self.folder.wait_running(settings.ready_s).pid
        except DeploymentError:
            self.folder.halt()
            raise
        self.releases.go_live(current.id, current.url, pid)
        return self._status(current)

    def stop(self) -> ServiceStatus:
        """Stop it; it stays what is deployed."""
        current = self._deployed()
        if current.state is State.LIVE:
            self.releases.stop(current.id)
        self.folder.halt()
        return self._status(self._deployed())

    def status(self) -> ServiceStatus | None:
        """How it stands; None for one that never went live."""
        if self.releases.starting(self.name) is not None and not locks.is_held(self._lock):
            with self.at_work():
                pass  # nobody was at work on it: it is undone now
        current = self.releases.current(self.name)
        return self._status(current) if current else None

    def _deployed(self) -> Deployed:
        current = self.releases.current(self.name)
        if current is None:
            raise DeploymentError(f"{self.name} has nothing deployed")
        return current

    def _status(self, current: Deployed) -> ServiceStatus:
        state = self.folder.state()
        idle = "stopped" if current.state is State.STOPPED else "down"
        return ServiceStatus(
            service=self.name,
            state=state.state if state else idle,
            release=state.release if state else current.release,
            url=current.url,
            pid=state.pid if state else None,
            since=state.since if state else current.changed,
            restarts=state.restarts if state else 0,
            reason=state.reason if state else "",
        )
