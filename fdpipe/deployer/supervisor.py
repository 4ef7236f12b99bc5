"""The detached process that keeps one service running: `python -m fdpipe.deployer.supervisor HOME NAME`."""

import logging
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

from fdpipe import bento
from fdpipe.deployer.folder import SUPERVISOR_LOCK, Folder, Settings, State
from fdpipe.errors import DeploymentError
from fdpipe.store import locks

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
STABLE_S = 60.0
"""The wait before a restart doubles from the first to the longest, and is the first again after a stable time."""

LOG_MIB = 10
_LOOK_EVERY_S = 0.25

log = logging.getLogger(__name__)


class Supervisor:
    """Runs the Bento of one folder until it is told to stop."""

    def __init__(self, folder: Folder, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.stopping = threading.Event()
        self.restarts = 0

    def run(self) -> None:
        """Start it, and again whenever it ends, until SIGTERM or until its settings are gone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        bento.kill(bento.leftovers(self.folder.home, self.folder.name))
        delay = FIRST_DELAY_S
        while not self._is_over():
            started = time.monotonic()
            reason = self._run_once()
            if self._is_over():
                break
            delay = FIRST_DELAY_S if time.monotonic() - started > STABLE_S else delay
            log.warning("%s; it starts again in %g s", reason, delay)
            self._say("waiting", reason)
            self.stopping.wait(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)
            self.restarts += 1
        self._say("stopped")

    def _run_once(self) -> str:
        """One life of the Bento; why it ended."""
        scratch = self.folder.path / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        self._say("starting")
        running = bento.start(self._launch(scratch))
        try:
            running.wait_ready(self.settings.ready_s, self._is_over)
            self._say("running")
            while running.is_alive() and not self._is_over():
                _bound(self.folder.log)
                self.stopping.wait(_LOOK_EVERY_S)
            return f"the service {self.settings.service} ended"
        except DeploymentError as error:
            return str(error)
        finally:
            running.stop(self.settings.drain_s)

    def _launch(self, scratch: Path) -> bento.Launch:
        return bento.Launch(
            service=self.settings.service,
            bento=self.folder.releases / self.settings.bento,
            host=self.settings.host,
            port=self.settings.port,
            home=self.folder.home,
            scratch=scratch,
            log=self.folder.log,
            access=self.settings.access,
        )

    def _say(self, state: str, reason: str = "") -> None:
        own = psutil.Process()
        now = State(
            pid=own.pid,
            born=own.create_time(),
            release=self.settings.release,
            state=state,
            since=time.time(),
            restarts=self.restarts,
            reason=reason,
        )
        try:
            self.folder.save_state(now)
        except OSError as error:
            log.warning("the state %r could not be written: %s", state, error)

    def _is_over(self) -> bool:
        return self.stopping.is_set() or not self.folder.settings_file.exists()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()


def main(home: Path, name: str) -> None:
    """Take the lock, which is held until this process ends; leave the starter behind; supervise."""
    folder = Folder(home, name)
    if folder.is_supervised():
        sys.exit(f"{name} has a supervisor already")
    locks.acquire(folder.path / SUPERVISOR_LOCK)
    if os.fork():
        os._exit(0)
    os.setsid()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s supervisor: %(message)s")
    settings = folder.settings()
    if settings is not None:
        Supervisor(folder, settings).run()


def _bound(path: Path) -> None:
    """Keep the log small: its writers append, so it can be cut while they write; one older part stays beside it."""
    with suppress(OSError):
        if path.stat().st_size > LOG_MIB * 2**20:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
