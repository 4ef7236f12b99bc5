"""What an MLflow model says of itself in its MLmodel file: flavour, files, signature."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fdpipe.artifacts import ModelRef, SourceModel, TensorSpec
from fdpipe.errors import SourceError

DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
}
"""MLflow's column types that a graph can take."""

TENSORS = ("bool", *(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")), "float16", "float32", "float64")
"""The types of a signature's tensors, beside `string`."""

LARGEST_FILE = 2**22
"""In bytes, of what is read as YAML."""

MOST_VALUES = 100_000
"""So many there may be in it, each counted as often as it is referred to: a few lines can say billions."""

FLAVOUR = re.compile(r"[\w.-]{1,100}")


def describe(ref: ModelRef, folder: Path, *, trusted: bool = False) -> SourceModel:
    """The model whose files lie in the folder, as its MLmodel file has it."""
    described = read_mlmodel(folder)
    flavour, settings = flavour_of(described)
    inputs, columns = signature_of(described, "inputs")
    outputs, _ = _outputs_of(described)
    serialization = str(settings.get("serialization_format") or flavour)
    return SourceModel(
        ref=ref, flavour=flavour, serialization=serialization, inputs=inputs, outputs=outputs, columns=columns,
        path=folder, digest=ref.digest, trusted=trusted,
    )  # fmt: skip


def _outputs_of(described: Mapping[str, Any]) -> tuple[tuple[TensorSpec, ...], bool]:
    """What the signature says of them; nothing where it has them as objects or lists, which no tensor is."""
    try:
        return signature_of(described, "outputs")
    except SourceError:
        return (), False


def read_mlmodel(folder: Path) -> Mapping[str, Any]:
    """The file's content; `SourceError` where it is none."""
    found = _read_yaml(folder / "MLmodel")
    if not isinstance(found, dict) or not isinstance(found.get("flavors"), dict) or not found["flavors"]:
        raise SourceError("this is no MLflow model: its MLmodel file names no flavors")
    if wrong := [name for name in found["flavors"] if not isinstance(name, str)]:
        raise SourceError(
            f"this is no MLflow model: its MLmodel file names the flavor {str(wrong[0])[:40]!r}, which is no text"
        )
    if wrong := [name for name in found["flavors"] if not FLAVOUR.fullmatch(name)]:
        raise SourceError(f"this is no MLflow model: its MLmodel file names the flavor {wrong[0][:40]!r}, which is no word")
    return found


def _read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever stands there
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise SourceError(f"this is no MLflow model: its file {path.name} has {size:,} bytes, {LARGEST_FILE:,} are allowed")
        return _parsed(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"this is no MLflow model, its file {path.name} cannot be read: {words}") from error


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:  # noqa: ANN401 - whatever stands there
    """What the YAML says, which nobody changes: every converter asks for the same file. `ValueError` for what is none, or
    says more than it should."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    waiting, count = [found], 0
    while waiting:
        one = waiting.pop()
        count += 1
        waiting.extend([*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list | set) else ())
        if count + len(waiting) > MOST_VALUES:
            raise ValueError(f"it says more than {MOST_VALUES:,} values")
    return found


def flavour_of(described: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The first flavour other than the generic `python_function`, with its settings."""
    flavours = described["flavors"]
    name = next((key for key in flavours if key != "python_function"), "python_function")
    settings = flavours.get(name)
    return name, settings if isinstance(settings, dict) else {}


def flavour_settings(folder: Path, flavour: str) -> Mapping[str, Any]:
    """What the MLmodel file says of one flavour; empty where the model has it not."""
    found = read_mlmodel(folder)["flavors"].get(flavour)
    return found if isinstance(found, dict) else {}


def requirements_of(folder: Path) -> tuple[str, ...]:
    """The model's own pinned requirements, as its requirements.txt has them; none where there is no such file."""
    path = folder / "requirements.txt"
    try:
        lines = path.read_text().splitlines() if path.is_file() else []
    except UnicodeDecodeError as error:
        raise SourceError(f"the model's requirements.txt is no text: {error}") from error
    return tuple(line for raw in lines if (line := raw.partition("#")[0].strip()))


def python_of(folder: Path) -> str | None:
    """The version of Python in which the model was saved, as `3.11.7`; None where its files do not say."""
    path = folder / "python_env.yaml"
    found = _read_yaml(path) if path.is_file() else None
    return str(found["python"]) if isinstance(found, dict) and "python" in found else None


def flavour_file(folder: Path, key: str) -> Path:
    """The file that the flavour's setting `key` names, which must lie inside the folder."""
    _, settings = flavour_of(read_mlmodel(folder))
    name = str(settings.get(key, ""))
    path = (folder / name.replace("\0", "")).resolve()
    if not name or not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise SourceError(f"MLmodel names {name!r} as its {key}, which is no file of this model")
    return path


def signature_of(described: Mapping[str, Any], side: str) -> tuple[tuple[TensorSpec, ...], bool]:
    """The specs of one side (`inputs` or `outputs`), and whether they are a data frame's columns."""
    try:
        text = (described.get("signature") or {}).get(side)
        items = json.loads(text) if text else []
        columns = any(item.get("type") != "tensor" for item in items)
        unnamed = side.removesuffix("s")
        read = _column if columns else _tensor
        return tuple(read(item, str(item.get("name") or unnamed)) for item in items), columns
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceError(f"the signature's {side} cannot be read: {type(error).__name__} {str(error)[:100]}") from error


def _column(item: Mapping[str, Any], name: str) -> TensorSpec:
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise SourceError(f"column {name!r} of the signature is of type {kind!r}: it must be one of {', '.join(DTYPES)}")
    return TensorSpec(name=name, dtype=DTYPES[kind], shape=("rows",))


def _tensor(item: Mapping[str, Any], name: str) -> TensorSpec:
    spec = item["tensor-spec"]
    dtype = "string" if spec["dtype"] in ("str", "object", "string") else str(spec["dtype"])
    if dtype != "string" and dtype not in TENSORS:
        raise SourceError(f"tensor {name!r} of the signature is of type {dtype!r}: it must be one of {', '.join(TENSORS)}")
    if wrong := [size for size in spec["shape"] if type(size) is not int or size < -1]:
        raise SourceError(f"tensor {name!r} of the signature has an axis of {wrong[0]!r}: it must be -1 or a whole number")
    axes = ("rows", *(f"{name}_{axis}" for axis in range(1, len(spec["shape"]))))
    shape = tuple(word if size == -1 else size for word, size in zip(axes, spec["shape"], strict=True))
    return TensorSpec(name=name, dtype=dtype, shape=shape)
