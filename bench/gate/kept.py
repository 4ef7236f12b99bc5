"""Trials that an earlier run of the bench has left, or one that was cut short: a line of JSON each."""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fdpipe.content import fingerprint
from fdpipe.home import home
from fdpipe.machine import describe_machine


class Kept:
    """What was found so far under this name, by the trial's number, with these settings, by this code, on this machine."""

    def __init__(self, name: str, code: Sequence[Path], settings: Mapping[str, object], folder: Path | None = None) -> None:
        identity = fingerprint([[one.read_text() for one in code], dict(settings), describe_machine().fingerprint])
        self._path = (folder or home() / "bench" / "gate") / f"{name}-{identity[:12]}.jsonl"

    def read(self) -> dict[int, dict[str, Any]]:
        """The trials' fields. A line that was cut short is none."""
        found: dict[int, dict[str, Any]] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            with contextlib.suppress(json.JSONDecodeError):
                one = json.loads(line)
                found[one["number"]] = one["trial"]
        return found

    def add(self, number: int, trial: Any) -> None:  # noqa: ANN401 - any dataclass
        """One more, at once on the disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write("\n" + json.dumps({"number": number, "trial": asdict(trial)}))
            file.flush()
            os.fsync(file.fileno())

    def forget(self) -> None:
        """Start anew."""
        self._path.unlink(missing_ok=True)
