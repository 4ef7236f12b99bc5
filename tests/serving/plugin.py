"""A plug-in package, as if it were installed: `carried_plugin`, with the monitor `calm`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fdpipe import workers

PLUGIN = {
    "__init__.py": "",
    "deep/__init__.py": "",
    "deep/inner.py": "from ..other import thing\n",
    "other.py": "import json, numpy\nthing = 1\n",
    "late.py": "",
    "never.py": "",
    "monitor/__init__.py": "",
    "monitor/calm.py": """
from typing import TYPE_CHECKING
from dataclasses import dataclass
import carried_plugin.deep.inner
if TYPE_CHECKING:
    import carried_plugin.never

@dataclass(frozen=True, kw_only=True)
class Calm:
    level: int = 1

    def start(self, release, registry):
        from carried_plugin import late
        return self

    def observe(self, exchanges, in_flight): ...
""",
}


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """It lies below `folder`, can be imported and is registered as a plug-in."""
    for name, text in PLUGIN.items():
        path = folder / "carried_plugin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    info = folder / "carried_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: carried-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[fdpipe.plugins]\ncarried_plugin = carried_plugin\n")
    sys.path.insert(0, str(folder))
    workers.plugin_packages.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        workers.plugin_packages.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "carried_plugin"]:
            del sys.modules[name]
