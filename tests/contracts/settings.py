"""A worker from its own file in conf/."""

from pathlib import Path
from typing import Any

import yaml

from fdpipe import workers

BESIDE = {"search": ("max_trials", "max_seconds")}
"""Settings of the plan's own that stand beside a worker's, by room."""

CONF = Path(__file__).parents[2] / "conf"


def built(room: str, name: str) -> Any:  # noqa: ANN401 - the room decides the Protocol
    """What `conf/<room>/<name>.yaml` describes."""
    found = yaml.safe_load((CONF / room / f"{name}.yaml").read_text())
    return workers.build(room, {key: value for key, value in found.items() if key not in BESIDE.get(room, ())})
