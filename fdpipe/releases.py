"""What is deployed where: durable, a state machine.

    starting → live ⇄ stopped      starting: its process is being brought up; live: it went up and is what is deployed;
        ↓       ↓        ↓         stopped: withdrawn by the user, who can start it again
      failed    superseded         failed: it never went up; superseded: another release took its place

The incumbent of a service is its live or stopped release: stopping a service does not change what is deployed.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fdpipe.artifacts import PORTS, Release
from fdpipe.content import from_json, to_json
from fdpipe.errors import DeploymentError, StoreError


class State(StrEnum):
    """How a deployment stands."""

    STARTING = "starting"
    LIVE = "live"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    FAILED = "failed"


ALLOWED = {
    State.STARTING: {State.LIVE, State.FAILED},
    State.LIVE: {State.LIVE, State.STOPPED, State.SUPERSEDED},
    State.STOPPED: {State.LIVE, State.SUPERSEDED},
    State.SUPERSEDED: set(),
    State.FAILED: set(),
}


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """One row of the history. Times are seconds since the epoch; `changed` is when it came into its state."""

    id: int
    service: str
    release: str
    state: State
    started: float
    changed: float
    url: str
    pid: int | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class ServiceRow:
    """A service's address, which it keeps."""

    name: str
    host: str
    port: int


_TABLES = (
    "CREATE TABLE IF NOT EXISTS services (name TEXT PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS deployments (id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL,"
    " release TEXT NOT NULL, content TEXT NOT NULL, state TEXT NOT NULL, started REAL NOT NULL, changed REAL NOT NULL,"
    " url TEXT NOT NULL DEFAULT '', pid INTEGER, reason TEXT NOT NULL DEFAULT '')",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_incumbent ON deployments (service) WHERE state IN ('live', 'stopped')",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_starting ON deployments (service) WHERE state = 'starting'",
)
_COLUMNS = "id, service, release, state, started, changed, url, pid, reason"


class Releases:
    """The history of deployments in an SQLite file; any number of processes may share it."""

    def __init__(self, path: Path, store_root: Path) -> None:
        self.path = path
        self.store_root = store_root.absolute()
        with self._transaction() as rows:
            for table in _TABLES:
                rows.execute(table)

    def live(self, service: str) -> Release | None:
        """The incumbent: the release that went live last and was not replaced, whether or not the user stopped it."""
        return self._release("service = ? AND state IN ('live', 'stopped')", service)

    def previous(self, service: str) -> Release | None:
        """The last release before the incumbent that is not the same one."""
        incumbent = self.current(service)
        return self._release(
            "service = ? AND state = 'superseded' AND release != ?", service, incumbent.release if incumbent else ""
        )

    def current(self, service: str) -> Deployed | None:
        """The incumbent's row."""
        found = [item for item in self.history(service) if item.state in (State.LIVE, State.STOPPED)]
        return found[0] if found else None

    def starting(self, service: str) -> Deployed | None:
        """The deployment under way, or left behind by a process that was killed."""
        found = [item for item in self.history(service) if item.state is State.STARTING]
        return found[0] if found else None

    def history(self, service: str) -> list[Deployed]:
        """Every deployment of the service, the newest first."""
        with self._transaction() as rows:
            found = rows.execute(
                f"SELECT {_COLUMNS} FROM deployments WHERE service = ? ORDER BY id DESC", (service,)
            ).fetchall()
        return [Deployed(**dict(row) | {"state": State(row["state"])}) for row in found]

    def services(self) -> list[ServiceRow]:
        """Every service that ever had an address."""
        with self._transaction() as rows:
            found = rows.execute("SELECT name, host, port FROM services ORDER BY name").fetchall()
        return [ServiceRow(**dict(row)) for row in found]

    def protected_paths(self) -> set[Path]:
        """What prune must keep: the files of each service's incumbent and of the release before it."""
        kept = [one for row in self.services() for one in (self.live(row.name), self.previous(row.name)) if one]
        return {path for one in kept for path in (one.path, one.manifest, one.golden, one.artifact.path)}

    def address(self, name: str) -> ServiceRow | None:
        """The service's address, if it has one."""
        return next((row for row in self.services() if row.name == name), None)

    def keep_address(self, name: str, host: str, pick: Callable[[set[int]], int]) -> int:
        """Write the service's address down; its port. `pick` is given every port that belongs to other services (each has
        `PORTS` in a row) and decides; `DeploymentError` where it picks one that meets them."""
        with self._transaction() as rows:
            others = rows.execute("SELECT name, port FROM services WHERE name != ?", (name,)).fetchall()
            owners = {row["port"] + offset: row["name"] for row in others for offset in range(PORTS)}
            port = pick(set(owners))
            if met := [owners[one] for one in range(port, port + PORTS) if one in owners]:
                raise DeploymentError(
                    f"port {port} and the {PORTS - 1} after it meet those of the service {met[0]}: set service.port to another"
                )
            rows.execute("INSERT OR REPLACE INTO services VALUES (?, ?, ?)", (name, host, port))
        return port

    def begin(self, release: Release) -> int:
        """A new deployment, starting; its id. `DeploymentError` where one is under way."""
        now = time.time()
        content = to_json(release, self.store_root).decode()
        values = (release.service, release.digest, content, State.STARTING, now, now)
        with self._transaction() as rows:
            insert = "INSERT INTO deployments (service, release, content, state, started, changed) VALUES (?, ?, ?, ?, ?, ?)"
            try:
                return rows.execute(insert, values).lastrowid or 0
            except sqlite3.IntegrityError as error:
                raise DeploymentError(f"another deployment of {release.service} is under way") from error

    def go_live(self, deployment: int, url: str, pid: int) -> None:
        """starting or stopped → live, or live again; another incumbent is superseded in the same step."""
        with self._transaction() as rows:
            before = "SELECT id FROM deployments WHERE state IN ('live', 'stopped') AND id != ? AND service = "
            service = "(SELECT service FROM deployments WHERE id = ?)"
            for row in rows.execute(before + service, (deployment, deployment)).fetchall():
                _move(rows, row["id"], State.SUPERSEDED)
            _move(rows, deployment, State.LIVE)
            rows.execute("UPDATE deployments SET url = ?, pid = ? WHERE id = ?", (url, pid, deployment))

    def fail(self, deployment: int, reason: str) -> None:
        """starting → failed."""
        with self._transaction() as rows:
            _move(rows, deployment, State.FAILED)
            rows.execute("UPDATE deployments SET reason = ? WHERE id = ?", (reason, deployment))

    def stop(self, deployment: int) -> None:
        """live → stopped."""
        with self._transaction() as rows:
            _move(rows, deployment, State.STOPPED)
            rows.execute("UPDATE deployments SET pid = NULL WHERE id = ?", (deployment,))

    def _release(self, where: str, *values: str) -> Release | None:
        with self._transaction() as rows:
            query = f"SELECT content FROM deployments WHERE {where} ORDER BY changed DESC, id DESC LIMIT 1"
            row = rows.execute(query, values).fetchone()
        return from_json(row["content"].encode(), Release, self.store_root) if row else None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            raise StoreError(f"the record of deployments {self.path} cannot be used ({error}): free some space") from error


def _move(rows: sqlite3.Connection, deployment: int, wanted: State) -> None:
    found = rows.execute("SELECT state FROM deployments WHERE id = ?", (deployment,)).fetchone()
    if found is None:
        raise DeploymentError(f"there is no deployment {deployment}")
    state = State(found["state"])
    if wanted not in ALLOWED[state]:
        raise DeploymentError(f"deployment {deployment} is {state} and cannot become {wanted}")
    rows.execute("UPDATE deployments SET state = ?, changed = ? WHERE id = ?", (wanted, time.time(), deployment))
