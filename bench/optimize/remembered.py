"""Results that a second run of the bench takes from a file, until it is told to start anew; each says of which day and code."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fdpipe
from bench.optimize.given import folder
from fdpipe.content import fingerprint


def remembered(name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
    """The result of this name, worked out where there is none yet; it is written when it is whole."""
    path = _results() / f"{name}.json"
    if not path.exists():
        found = {"day": time.strftime("%Y-%m-%d"), "code": code(), "result": work()}
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(found, indent=1))
        scratch.rename(path)
    return json.loads(path.read_text())["result"]


def origins() -> dict[tuple[str, str], list[str]]:
    """The results' names by the day and the code of their measurement, the oldest first."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(_results().glob("*.json")):
        one = json.loads(path.read_text())
        found.setdefault((one["day"], one["code"]), []).append(path.stem)
    return dict(sorted(found.items()))


def code() -> str:
    """The start of the digest of the package as it is now."""
    sources = Path(fdpipe.__file__).parent
    files = sorted(sources.rglob("*.py"))
    return fingerprint([(str(path.relative_to(sources)), path.read_text()) for path in files])[:12]


def _results() -> Path:
    return folder() / "results"
