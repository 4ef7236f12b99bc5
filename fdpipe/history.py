"""Every final benchmark that was ever made, with the machine that it holds for: in a SQLite file, or in the database of a URL.

A row is one candidate of one benchmark. A benchmark that comes out of the store again is the one that is kept already: only
what became of its candidates is written anew.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fdpipe.artifacts import Interval, Machine, Measurement, Record
from fdpipe.content import fingerprint
from fdpipe.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

SCHEMA = 1
FILE = "history.sqlite"
VARIABLE = "FDPIPE_HISTORY"
"""The environment variable with the URL of another database, as `postgresql+psycopg://…`, which several machines share."""

WHAT = "the history of benchmarks"


class Fate(StrEnum):
    """What became of a candidate: deployed; the best that passed, and not deployed; or measured beside it."""

    DEPLOYED = "deployed"
    CHOSEN = "chosen"
    MEASURED = "measured"


@dataclass(frozen=True, kw_only=True)
class PastMeasurement:
    """One candidate of one benchmark. `time` is in seconds since the epoch, `release` the digest of what was deployed, `ratio`
    its time divided by the baseline's of the same benchmark, over all batch sizes; that of the baseline itself is 1."""

    benchmark: str
    time: float
    model: str
    version: str
    target: str
    candidate: str
    baseline: str
    threads: int
    standing: Fate
    release: str | None
    machine: Machine
    ratio: Interval | None
    measurement: Measurement


def entries_of(record: Record, now: float) -> tuple[PastMeasurement, ...]:
    """What a run's benchmark says, one entry a candidate."""
    measured, deployed = record.measured, _deployed(record)
    chosen = record.release.candidate.name if record.release else next(iter(record.verdict.passed), None)
    standings = {chosen: Fate.CHOSEN} | ({deployed[0]: Fate.DEPLOYED} if deployed else {})
    identity = fingerprint(record.model, record.target, replace(measured, energy={}))
    same = Interval(low=1.0, middle=1.0, high=1.0)
    return tuple(
        PastMeasurement(
            benchmark=identity,
            time=now,
            model=record.model.name,
            version=record.model.version,
            target=record.target,
            candidate=one.candidate,
            baseline=measured.baseline,
            threads=measured.threads,
            standing=standings.get(one.candidate, Fate.MEASURED),
            release=deployed[1] if deployed and deployed[0] == one.candidate else None,
            machine=measured.machine,
            ratio=same if one.candidate == measured.baseline else measured.overall(one.candidate),
            measurement=one,
        )
        for one in measured.measurements
    )


def _deployed(record: Record) -> tuple[str, str] | None:
    """The candidate that serves now, and its release; a dry run deploys nothing."""
    if record.release is None or record.deployment is None or not record.deployment.url:
        return None
    return record.release.candidate.name, record.release.digest


class History:
    """The benchmarks in a database, which any number of processes may share; `where` is its URL."""

    def __init__(self, where: str) -> None:
        from sqlalchemy.exc import IntegrityError

        self.where = where
        try:
            self._settle()
        except (StoreError, IntegrityError):  # another process may have made the tables at this very moment
            self._settle()

    @classmethod
    def of(cls, home: Path) -> "History":
        """That of a state folder, unless FDPIPE_HISTORY names another database."""
        return cls(os.environ.get(VARIABLE) or f"sqlite:///{home / FILE}")

    def keep(self, record: Record) -> None:
        """Write a run's benchmark down, or what became of it; nothing where nothing was measured. What was deployed once stays
        so."""
        from sqlalchemy.exc import IntegrityError

        table = _tables()
        for entry in entries_of(record, time.time()):
            try:
                with self._transaction() as rows:
                    rows.execute(table.insert().values(**_written(entry)))
            except IntegrityError:
                same = (table.c.benchmark == entry.benchmark) & (table.c.candidate == entry.candidate)
                later = table.c.standing != Fate.DEPLOYED.value
                if entry.standing is Fate.DEPLOYED:
                    later = table.c.standing != ""
                news = {"standing": entry.standing.value, "release": entry.release}
                with self._transaction() as rows:
                    rows.execute(table.update().where(same & later).values(**news))

    def entries(self, model: str, target: str | None = None) -> tuple[PastMeasurement, ...]:
        """Every entry of a model, of one target or of all, the oldest first."""
        table = _tables()
        wanted = table.select().where(table.c.model == model).order_by(table.c.time, table.c.candidate)
        with self._transaction() as rows:
            found = rows.execute(wanted if target is None else wanted.where(table.c.target == target)).mappings().all()
        return tuple(_read(dict(row)) for row in found)

    def models(self) -> tuple[str, ...]:
        """Of which models anything is kept."""
        from sqlalchemy import select

        table = _tables()
        with self._transaction() as rows:
            return tuple(rows.execute(select(table.c.model).distinct().order_by(table.c.model)).scalars())

    def _settle(self) -> None:
        """The tables, where they are missing; what another fdpipe wrote in another form is left alone."""
        metadata = _tables().metadata
        stamp = metadata.tables["history_schema"]
        with self._transaction() as rows:
            metadata.create_all(rows)
            found = rows.execute(stamp.select()).scalars().first()
            if found is None:
                rows.execute(stamp.insert().values(version=SCHEMA))
        if found not in (None, SCHEMA):
            raise ConfigError(
                f"{WHAT} {_safe(self.where)} has schema {found}, this fdpipe reads {SCHEMA}: move it away or set {VARIABLE}"
            )

    @contextmanager
    def _transaction(self) -> Iterator["Connection"]:
        from sqlalchemy.exc import IntegrityError, SQLAlchemyError

        try:
            engine = _engine(self.where)
            try:
                with engine.begin() as connection:
                    yield connection
            finally:
                engine.dispose()
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            line = " ".join(str(getattr(error, "orig", None) or error).split())
            raise StoreError(f"{WHAT} {_safe(self.where)} cannot be used ({line})") from error


def _engine(where: str) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    waiting = {"timeout": 30} if where.startswith("sqlite") else {}
    try:
        return create_engine(where, connect_args=waiting)
    except (ArgumentError, ModuleNotFoundError) as error:
        why = f"its driver is not installed: {error}" if isinstance(error, ModuleNotFoundError) else "it is no database's URL"
        raise ConfigError(f"{VARIABLE}={_safe(where)}: {why}; write it as postgresql+psycopg://user@host/name") from error


def _safe(where: str) -> str:
    """The URL without its password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(where).render_as_string(hide_password=True)
    except ArgumentError:
        return "…"


def _tables() -> "Table":
    """The table of benchmarks; beside it, in the same metadata, that with the schema's version."""
    from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text

    metadata = MetaData()
    Table("history_schema", metadata, Column("version", Integer, primary_key=True))
    return Table(
        "benchmarks",
        metadata,
        Column("benchmark", String(64), primary_key=True),
        Column("candidate", String(500), primary_key=True),
        Column("time", Float, nullable=False),
        *(
            Column(name, String(500), nullable=False, index=name == "model")
            for name in ("model", "version", "target", "baseline")
        ),
        Column("threads", Integer, nullable=False),
        Column("standing", String(20), nullable=False),
        Column("release", String(64)),
        Column("fingerprint", String(64), nullable=False),
        *(Column(name, Text, nullable=False) for name in ("machine", "ratio", "measurement")),
    )


_AS_JSON = {"machine": Machine, "ratio": Interval | None, "measurement": Measurement}


def _written(entry: PastMeasurement) -> dict[str, object]:
    plain = {name: getattr(entry, name) for name in PastMeasurement.__dataclass_fields__ if name not in _AS_JSON}
    as_json = {name: msgspec.json.encode(getattr(entry, name)).decode() for name in _AS_JSON}
    return plain | as_json | {"standing": entry.standing.value, "fingerprint": entry.machine.fingerprint}


def _read(row: dict[str, Any]) -> PastMeasurement:
    row.pop("fingerprint")
    read = {name: msgspec.json.decode(row[name], type=kind) for name, kind in _AS_JSON.items()}
    return PastMeasurement(**row | read | {"standing": Fate(row["standing"])})
