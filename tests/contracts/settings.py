"""A worker from its own file in conf/."""

from pathlib import Path
from typing import Any

import yaml

from fdpipe import workers

CONF = Path(__file__).parents[2] / "conf"


def built(room: str, name: str) -> Any:  # noqa: ANN401 - the room decides the Protocol
    """What `conf/<room>/<name>.yaml` describes."""
    return workers.build(room, yaml.safe_load((CONF / room / f"{name}.yaml").read_text()))
