"""fdpipe's own source, and that of its plug-ins, where a child of any environment can import it, and nothing beside it."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from fdpipe import __version__, workers


def offer(folder: Path) -> tuple[Path, ...]:
    """Fill a new folder, to be put on PYTHONPATH, with links to the trusted packages; where these really are."""
    folder.mkdir()
    places = dict(_packages())
    for name, place in places.items():
        (folder / name).symlink_to(place)
    _register(folder)
    return tuple(places.values())


def _packages() -> Iterator[tuple[str, Path]]:
    """The folder, or file, of each top-level package that may have workers."""
    for top in sorted({name.partition(".")[0] for name in workers.trusted_packages()}):
        spec = importlib.util.find_spec(top)
        if spec is not None and spec.submodule_search_locations:
            yield top, Path(next(iter(spec.submodule_search_locations))).resolve()
        elif spec is not None and spec.origin:
            yield f"{top}.py", Path(spec.origin).resolve()


def _register(folder: Path) -> None:
    """What pip would have written, so that the child finds the same plug-ins."""
    info = folder / f"fdpipe_offered-{__version__}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fdpipe-offered\nVersion: {__version__}\n")
    lines = [f"{name} = {name}" for name in workers.plugin_packages()]
    (info / "entry_points.txt").write_text("\n".join(["[fdpipe.plugins]", *lines, ""]))
