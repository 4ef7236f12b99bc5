"""Results that a second run of the bench takes from a file, until it is told to start anew."""

import json
from collections.abc import Callable
from typing import Any

from bench.optimize.given import folder


def remembered(name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
    """The result of this name, worked out where there is none yet; it is written when it is whole."""
    path = folder() / "results" / f"{name}.json"
    if not path.exists():
        found = work()
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(found, indent=1))
        scratch.rename(path)
    return json.loads(path.read_text())
