"""Exported programs (`.pt2`) opened without running what is in them.

`torch.export.load` unpickles records, evaluates expressions, imports and looks up what names say, and makes Python source of
names. So the archive is read here, as zip and JSON, and torch gets one that is written anew from what is known to be harmless.
"""

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdpipe.errors import ConversionError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

NAME = re.compile(r"[A-Za-z0-9_.]*", re.ASCII)
TEXT = re.compile(r"[A-Za-z0-9_ ,.:;+*=<>()\[\]|-]*", re.ASCII)

TARGET = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!from_file\b|save\b|load\b)\w+\.\w+"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond|while_loop|scan|map_impl)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem|lshift|rshift)"
    r"|torch\.sym_\w+|math\.(ceil|floor|trunc|sqrt)",
    re.ASCII,
)
"""The functions that a node may call."""

RAW = re.compile(r"data/(weights|constants)/(weight|tensor)_\d+", re.ASCII)
CONFIG = re.compile(r"data/(weights|constants)/model_(weights|constants)_config\.json")
PROGRAM = ("models/model.json", "serialized_exported_program.json")
PICKLED = ("data/weights/model.pt", "data/constants/model.pt", "serialized_state_dict.pt", "serialized_constants.pt")
EXAMPLES = ("data/sample_inputs/model.pt", "serialized_example_inputs.pt")
MARKS = ("archive_format", "archive_version", "version", ".data/version", "byteorder", ".data/serialization_id")
LEFT_OUT = ("extra/", "data/extra/", "extra_files/")

EXPRESSION = re.compile(
    r"(?!.*\*\*)(?:(?:Symbol|Integer|Rational|Float|Add|Mul|Pow|Min|Max|Mod|Abs|And|Or|Not|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality"
    r"|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt"
    r"|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|TruncToFloat|TruncToInt|RoundToInt"
    r"|RoundDecimal|ToFloat|Identity|positive|negative|nonnegative|integer|real|precision|true|false|True|False|oo|int_oo|zoo"
    r"|[a-z]{1,4}\d+)\b|'[a-z]{1,4}\d+'|'\d*\.?\d*(?:e[+-]?\d+)?'|\d+(?:\.\d+)?(?!\w)|[-+*/(),=<> ])*",
    re.ASCII,
)
"""Sizes as torch writes them: known functions of symbols and numbers."""

CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


def load_program(path: Path, name: str, *, trusted: bool = False) -> "ExportedProgram":
    """The program; `ConversionError` for one with records or words that could run code, unless it is trusted. `name` is the
    model's."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder) / "model.pt2"
        try:
            with zipfile.ZipFile(path) as archive, zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as written:
                for record, content in _harmless(archive):
                    written.writestr(record, content)
        except Suspicious as error:
            if trusted:
                return torch.export.load(path)
            raise ConversionError(
                f"{path.name} is refused, {error}: such a file can run code; if you trust it, say source.trust={name}"
            ) from error
        except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, KeyError, OSError, EOFError) as error:
            raise ConversionError(f"{path.name} is no exported program: {error}") from error
        return torch.export.load(clean)


class Suspicious(ValueError):
    """What is in a file and is not known to be harmless."""


def _harmless(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """Each record that torch needs, checked."""
    seen: set[str] = set()
    for info in archive.infolist():
        root, _, below = info.filename.partition("/")
        record = info.filename if root in (*PROGRAM, *PICKLED, *EXAMPLES, *MARKS) else below
        if record in seen or info.compress_type != zipfile.ZIP_STORED:
            raise Suspicious(f"its record {record!r} is compressed or there twice")
        seen.add(record)
        if record.startswith(LEFT_OUT):
            continue
        yield info.filename, _checked(record, archive.read(info))
    if not seen.intersection(PROGRAM):
        raise KeyError("it has no program")


def _checked(record: str, content: bytes) -> bytes:
    if RAW.fullmatch(record) or (record in MARKS and NAME.fullmatch(content.decode("ascii").strip())):
        return content
    if record in EXAMPLES:
        return b""
    if record in PICKLED:
        return _tensors_only(record, content)
    if CONFIG.fullmatch(record):
        return _checked_config(content)
    if record in PROGRAM:
        return json.dumps(_checked_value(json.loads(content), record)).encode()
    raise Suspicious(f"it has a record {record!r}")


def _tensors_only(record: str, content: bytes) -> bytes:
    """The same tensors, pickled by us: torch falls back to a full unpickler where its restricted one refuses."""
    import torch

    stream = io.BytesIO()
    torch.save(tensors_only(io.BytesIO(content), record), stream)
    return stream.getvalue()


def tensors_only(file: Path | io.BytesIO, name: str, *, trusted: bool = False) -> Any:  # noqa: ANN401 - tensors in containers
    """What torch's restricted unpickler makes of it; `Suspicious` where it refuses, or is too old to be relied on and the
    file is not trusted."""
    import pickle

    import torch

    version = torch.__version__
    if not trusted and tuple(int(part) for part in version.split(".")[:2]) < (2, 10):
        raise Suspicious(f"torch {version} cannot read {name!r} safely (2.10 can)")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise Suspicious(f"{name!r} holds more than tensors") from error


def _checked_config(content: bytes) -> bytes:
    """Where the weights are: raw bytes, beside it."""
    config = _checked_value(json.loads(content), "config")
    for entry in config["config"].values():
        if entry["use_pickle"] is not False or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
            raise Suspicious(f"its weight {entry['path_name']!r} is pickled")
    return json.dumps(config).encode()


def _checked_value(value: Any, key: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The same without metadata and guards."""
    if isinstance(value, dict):
        for name in value:
            _require(NAME, name, "the name")
        return {name: _checked_value(item, name) for name, item in value.items() if name not in ("metadata", "guards_code")} | {
            name: type(value[name])() for name in ("metadata", "guards_code") if name in value
        }
    if isinstance(value, list):
        return [_checked_value(item, key) for item in value]
    if isinstance(value, str):
        _check_text(value, key)
    return value


def _check_text(text: str, key: str) -> None:
    if key in ("in_spec", "out_spec"):
        _check_structure(json.loads(text)[1])
    elif key == "expr_str":
        _require(EXPRESSION, text, "the size")
    elif key == "target":
        _require(TARGET, text, "a call of")
    elif key == "as_string":
        _require(TEXT, text, "the text")
    elif key not in ("torch_version", "as_float"):
        _require(NAME, text, "the name")


def _check_structure(spec: Mapping[str, Any]) -> None:
    """Of what the arguments and answers are made: tuples, lists and dictionaries with words for keys."""
    if spec["type"] not in CONTAINERS:
        raise Suspicious(f"it makes a {spec['type']}")
    if spec["context"] is not None:
        context = json.loads(spec["context"])
        for word in context if isinstance(context, list) else [context]:
            if word is not None:
                _require(TEXT, word if isinstance(word, str) else repr(word), "the key")
    for child in spec["children_spec"]:
        _check_structure(child)


def _require(pattern: re.Pattern[str], text: str, what: str) -> None:
    if len(text) > 2000 or not pattern.fullmatch(text):
        raise Suspicious(f"it has {what} {text[:80]!r}")
