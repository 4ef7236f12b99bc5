"""What a service says of its model: the metadata of the Open Inference Protocol V2, read strictly."""

from collections.abc import Mapping
from dataclasses import dataclass

DATATYPES = frozenset(
    ("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64", "BF16", "BYTES")
)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output: the protocol's datatype, and the shape with -1 for an axis of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as its metadata has it; the lists are empty where the server does not know them."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def is_batchable(self) -> bool:
        """Whether the first axis of every input is any number of rows."""
        return bool(self.inputs) and all(one.shape and one.shape[0] == -1 for one in self.inputs)


def read(value: object) -> Model:
    """From the metadata's JSON; `ValueError` naming what is not as the protocol has it."""
    if not isinstance(value, Mapping):
        raise ValueError(f"the metadata is no JSON object: {str(value)[:80]}")
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"the metadata's name is {name!r}, it must be the model's")
    versions = value.get("versions") or []
    if not isinstance(versions, list) or not all(isinstance(one, str) for one in versions):
        raise ValueError(f"the metadata's versions are {versions!r}, they must be a list of strings")
    inputs, outputs = (tuple(map(_tensor, _listed(value, part))) for part in ("inputs", "outputs"))
    return Model(name=name, versions=tuple(versions), inputs=inputs, outputs=outputs)


def _listed(value: Mapping[str, object], part: str) -> list[object]:
    found = value.get(part)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"the metadata's {part} are {str(found)[:80]!r}, they must be a list")
    return found


def _tensor(value: object) -> Tensor:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError(f"a tensor of the metadata has no name: {str(value)[:80]}")
    name, datatype, shape = value["name"], value.get("datatype"), value.get("shape")
    if datatype not in DATATYPES:
        raise ValueError(f"the datatype of {name!r} is {datatype!r}, which the protocol does not have")
    if not isinstance(shape, list) or not all(isinstance(one, int) and one >= -1 for one in shape):
        raise ValueError(f"the shape of {name!r} is {shape!r}, it must be a list of whole numbers, -1 for any")
    return Tensor(name=name, datatype=str(datatype), shape=tuple(shape))
