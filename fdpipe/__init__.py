"""fdpipe: from a registered model to a running, monitored service."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fdpipe.pipeline import run
    from fdpipe.plan import Plan, Recipe, Target
    from fdpipe.standard import standard_plan

_WHERE = {
    "run": "fdpipe.pipeline",
    "Plan": "fdpipe.plan",
    "Recipe": "fdpipe.plan",
    "Target": "fdpipe.plan",
    "standard_plan": "fdpipe.standard",
}

__all__ = ["Plan", "Recipe", "Target", "__version__", "run", "standard_plan"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute may be anything
    """Import the public names when they are first used: a service imports this package and needs none of them."""
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'fdpipe' has no attribute {name!r}")
