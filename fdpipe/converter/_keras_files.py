"""What a Keras file says of itself, read without Keras: the code that it would run, and the places that it points to."""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fdpipe import extras
from fdpipe.converter._exported import one_line
from fdpipe.errors import ConversionError

CONFIG = "config.json"

CONFIG_BYTES = 2**28

UNPACKED = 200
"""A .keras archive is hardly compressed: one that grows by more than this is made to fill the disk."""

RUNS_CODE = {
    "Lambda": "a Lambda layer, Python as bytes",
    "__lambda__": "a lambda, Python as bytes",
    "TorchModuleWrapper": "a pickled PyTorch module",
    "TFSMLayer": "a layer that loads another model",
    "JaxLayer": "a layer made of JAX code",
    "FlaxLayer": "a layer made of Flax code",
}
"""Classes of Keras that run what their settings hold."""

OWN = re.compile(
    r"keras(\.src)?(\.(layers|models|initializers|regularizers|constraints|optimizers|losses|metrics|activations|ops|"
    r"dtype_policies|quantizers|random)(\.\w+)*)?"
)
"""The modules of Keras whose classes a configuration may name; `keras.utils`, which fetches files, is none of them."""

PLAIN = re.compile(r"__(keras_tensor|tensor|numpy|bytes|ellipsis|slice|tuple|typespec)__")
"""Names that stand for values."""


def configuration(path: Path) -> Mapping[str, Any]:
    """The architecture as the file has it; empty where it has none."""
    return _of_archive(path) if path.suffix == ".keras" else _of_hdf5(path)


def code_in(found: Mapping[str, Any]) -> str | None:
    """The first thing in an architecture that is code; None for one that is made of Keras's own classes only."""
    top = {key: value for key, value in found.items() if key != "compile_config"}
    return next((words for node in _nodes(top) if (words := _code(node))), None)


def quick_look(path: Path) -> str | None:
    """The same without any library, where the file is HDF5: the configuration stands in it as text. Who wants to can hide
    code from this look, which is why `configuration` is read again before the file is loaded."""
    if path.suffix == ".keras":
        return code_in(_of_archive(path))
    content = path.read_bytes()
    start = content.find(b'{"class_name"')
    if start < 0:
        start = content.find(b'{"module"')
    try:
        found, _ = json.JSONDecoder().raw_decode(content[start:].decode("utf-8", "replace")) if start >= 0 else ({}, 0)
    except (json.JSONDecodeError, RecursionError):
        return None
    return code_in(found)


def refuse_places_outside(path: Path) -> None:
    """`ConversionError` where an HDF5 file takes its weights from other files. Needs h5py."""
    h5py = extras.require("h5py", extra="tensorflow")

    def linked(name: str, link: object) -> str | None:
        return name if isinstance(link, h5py.ExternalLink) else None

    def outside(name: str, item: Any) -> str | None:  # noqa: ANN401 - h5py's own
        return name if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual) else None

    for opened in _hdf5_files(path):
        with h5py.File(opened, "r") as file:
            if name := file.visititems_links(linked) or file.visititems(outside):
                raise ConversionError(f"{path.name} keeps {name} in another file: refused")


def _hdf5_files(path: Path) -> Iterator[Any]:
    if path.suffix != ".keras":
        yield path
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".h5"):
                with archive.open(name) as stream:
                    yield stream


def _of_archive(path: Path) -> Mapping[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            for info in infos:
                if info.filename.startswith("/") or ".." in Path(info.filename).parts:
                    raise ConversionError(f"{path.name} has an entry {info.filename!r}, outside of itself: refused")
            if sum(info.file_size for info in infos) > UNPACKED * max(path.stat().st_size, 2**20):
                raise ConversionError(f"{path.name} unpacks to more than {UNPACKED} times its size: refused")
            if CONFIG not in archive.namelist() or archive.getinfo(CONFIG).file_size > CONFIG_BYTES:
                raise ConversionError(
                    f"{path.name} has no {CONFIG} of less than {CONFIG_BYTES >> 20} MiB: it is no Keras 3 file"
                )
            found = json.loads(archive.read(CONFIG))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path.name} is no Keras 3 file: {one_line(error)}") from error
    return found if isinstance(found, dict) else {}


def _of_hdf5(path: Path) -> Mapping[str, Any]:
    h5py = extras.require("h5py", extra="tensorflow")

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
        found = json.loads(text) if text is not None else {}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ConversionError(f"{path.name} is no Keras file: {one_line(error)}") from error
    if not found:
        raise ConversionError(f"{path.name} holds weights and no architecture: save the whole model")
    return found if isinstance(found, dict) else {}


def _nodes(found: object) -> Iterator[Mapping[str, Any]]:
    """Everything in a configuration that names a class."""
    left = [found]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)


def _code(node: Mapping[str, Any]) -> str | None:
    name, module, registered = str(node["class_name"]), node.get("module"), node.get("registered_name")
    if name in RUNS_CODE:
        return RUNS_CODE[name]
    if "module" not in node or (module is None and PLAIN.fullmatch(name)):
        return None  # older files name Keras's own classes only, without a module: others are not found
    if module is None or not OWN.fullmatch(str(module)):
        what = f"the function {node.get('config')}" if name == "function" else f"the class {name}"
        return f"{what} of {module or 'its own'}"
    return f"the class {registered}" if ">" in str(registered) else None
