"""What a built service carries: the source files that its modules reach, and the distributions these need, pinned.

Source files are found by reading imports, those inside functions included, without running anything; imports under
`if TYPE_CHECKING:` do not count. Other packages than the trusted ones are installed, not carried.
"""

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from fdpipe.content import file_digest, fingerprint
from fdpipe.workers import trusted_packages


def reached(modules: Iterable[str]) -> dict[str, Path]:
    """Every source file of a trusted package that these modules need, by its path below the import root."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        for name in _with_parents(module):
            file = _file_of(name)
            if file is None or (path := _relative(name, file)) in found:
                continue
            found[path] = file
            waiting += _imported(name, file)
    return dict(sorted(found.items()))


def source_digest(files: Mapping[str, Path]) -> str:
    """What the files say, and where they lie below the import root."""
    return fingerprint({path: file_digest(file) for path, file in files.items()})


def pinned(names: Iterable[str]) -> dict[str, str]:
    """The installed versions of these distributions and of all that they need; one that is not installed is left out."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        head = (package.read_text("METADATA") or package.read_text("PKG-INFO") or "").partition("\n\n")[0]
        found[name] = re.findall(r"^Version: (.+)$", head, re.MULTILINE)[0]
        needed = map(Requirement, re.findall(r"^Requires-Dist: (.+)$", head, re.MULTILINE))
        waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return dict(sorted(found.items()))


def _normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _file_of(module: str) -> Path | None:
    """The module's source, where it is one of a trusted package; a name in a module is none."""
    top, *below = module.split(".")
    if top not in trusted_packages():
        return None
    spec = importlib.util.find_spec(top)
    roots = [] if spec is None else spec.submodule_search_locations or []
    places = (Path(root, *below) for root in roots)
    files = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


def _relative(module: str, file: Path) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if file.name == "__init__.py" else f"{path}.py"


def _imported(module: str, file: Path) -> Iterator[str]:
    """Every dotted name that the file may import a module by."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in _statements(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{start}.{alias.name}" for alias in node.names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below, except what only a type checker runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if not isinstance(child, ast.expr):
            yield child
            yield from _statements(child)
