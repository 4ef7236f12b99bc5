"""A registered model's own requirements: what may be installed because a file of the model says so."""

import platform
import re
from collections.abc import Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Loader
from fdpipe.mlmodel import python_of, requirements_of

CHILD = ("msgspec>=0.18", "numpy", "pyyaml>=5.1")
"""What fdpipe itself needs in the child, whatever the model."""

NOT_NEEDED = re.compile(r"mlflow([-_.]\w+)*", re.IGNORECASE)
"""MLflow lists itself in every model; no converter imports it, unless its `exporter` names it."""


def needed(converter: Loader, model: SourceModel) -> list[str]:
    """Everything to install for the model's own environment, in a fixed order.

    `ConversionError` for a line that is more than a name with versions: an option, a URL or a path is a way to install
    from elsewhere, or to run code. `SourceError` where the file is no text.
    """
    own = [(line, _parsed(line, model)) for line in requirements_of(model.path)]
    wanted = {canonicalize_name(Requirement(line).name) for line in converter.exporter}
    kept = [line for line, parsed in own if not NOT_NEEDED.fullmatch(parsed.name) or canonicalize_name(parsed.name) in wanted]
    return sorted({*kept, *converter.exporter, *CHILD})


def refuse_other_python(model: SourceModel) -> None:
    """`ConversionError` for a model that was saved in another minor version of Python than this one."""
    theirs = python_of(model.path)
    ours = platform.python_version()
    if theirs is not None and _minor(theirs) != _minor(ours):
        raise ConversionError(
            f"{model.ref.name} was saved in Python {theirs[:40]}, this is {ours}: an environment of its own must have the same "
            f"minor version, so run fdpipe in Python {_minor(theirs)[:40]} (or use converter.isolation=process)"
        )


def blamed(requirements: Sequence[str], words: str) -> list[str]:
    """Those of the requirements that an installer's words name."""
    said = canonicalize_name(words)
    names = {line: re.escape(canonicalize_name(Requirement(line).name)) for line in requirements}
    return [line for line, name in names.items() if re.search(rf"(?<![\w-]){name}(?![\w-])", said)]


def _parsed(line: str, model: SourceModel) -> Requirement:
    try:
        found = Requirement(line)
    except InvalidRequirement:
        found = None
    if found is None or found.url is not None:
        raise ConversionError(
            f"{model.ref.name}: its requirements.txt has the line {line[:200]!r}: only names with versions are installed, as "
            "package==1.2, no options, addresses or paths"
        )
    return found


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
