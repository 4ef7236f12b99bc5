"""Golden requests: rows with known answers, asked of a running service over each protocol that it speaks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from fdpipe.access import EVERYONE, Access
from fdpipe.arrays import Batch, load_arrays, rows_in, take
from fdpipe.artifacts import GOLDEN_ANSWER, GOLDEN_INPUT, GOLDEN_TOGETHER
from fdpipe.conformance import over_grpc

TOLERANCE = 1e-5
"""How far a float may lie from the known answer: absolute below 1, relative above."""

_TIMEOUT_S = 60
_DATATYPES = {"b1": "BOOL", "u1": "UINT8", "u2": "UINT16", "u4": "UINT32", "u8": "UINT64"} | {
    "i1": "INT8", "i2": "INT16", "i4": "INT32", "i8": "INT64", "f2": "FP16", "f4": "FP32", "f8": "FP64",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came back: `first_wrong` describes the first wrong answer and is empty where there is none."""

    requests: int
    wrong: int
    protocols: tuple[str, ...]
    largest_difference: float
    first_wrong: str


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where to ask: the URLs of BentoML's API and of the Open Inference Protocol, the model's name in the latter, and
    `host:port` of its gRPC, which is not asked where that is empty; `access` is what a caller on its machine needs."""

    api: str
    open_inference: str
    model: str
    grpc: str = ""
    access: Access = EVERYONE


Protocol = Callable[[httpx.Client, Address, Batch], dict[str, np.ndarray]]


def ask(golden: Path, address: Address, *, singles: int | None = None) -> Heard:
    """Ask each row alone (the first `singles` of them) and then all rows as one batch, over each protocol. What is known of
    them is one answer a row; or, of a release that is not batchable, one to the row alone and one among all.

    A request that fails counts as wrong: nothing is raised for what the service does.
    """
    arrays = load_arrays(golden)
    inputs, alone = part(arrays, GOLDEN_INPUT), part(arrays, GOLDEN_ANSWER)
    together = part(arrays, GOLDEN_TOGETHER) or alone
    requests, largest, wrong = 0, 0.0, []
    protocols = {name: protocol for name, protocol in PROTOCOLS.items() if address.grpc or name != OVER_GRPC}
    context, headers = address.access.own_context(), address.access.own_headers()
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False, verify=context or True, headers=headers) as client:
        for name, protocol in protocols.items():
            for rows in _requests(rows_in(inputs), singles):
                requests += 1
                known = take(alone if rows.stop - rows.start == 1 else together, rows)
                difference, fault = _compare(protocol, client, address, take(inputs, rows), known)
                largest = max(largest, difference)
                if fault:
                    wrong.append(f"{name}, rows {rows.start} to {rows.stop - 1}: {fault}")
    return Heard(
        requests=requests,
        wrong=len(wrong),
        protocols=tuple(protocols),
        largest_difference=largest,
        first_wrong=wrong[0] if wrong else "",
    )


def _requests(rows: int, singles: int | None) -> Iterator[slice]:
    yield from (slice(row, row + 1) for row in range(rows if singles is None else min(singles, rows)))
    yield slice(0, rows)


def part(arrays: Batch, prefix: str) -> dict[str, np.ndarray]:
    """Of a golden file's arrays those of one kind (`GOLDEN_INPUT`, `GOLDEN_ANSWER`, `GOLDEN_TOGETHER`), by their own names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _compare(protocol: Protocol, client: httpx.Client, address: Address, inputs: Batch, known: Batch) -> tuple[float, str]:
    """The largest difference, and what is wrong; empty if nothing is."""
    try:
        heard = protocol(client, address, inputs)
    except httpx.HTTPStatusError as error:
        return 0.0, f"status {error.response.status_code}: {error.response.text[:200]}"
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return 0.0, f"{type(error).__name__}: {error}"
    largest = 0.0
    for name, wanted in known.items():
        if name not in heard:
            return largest, f"no answer {name!r}, but {', '.join(heard) or 'nothing'}"
        if heard[name].shape != wanted.shape:
            return largest, f"{name} has shape {heard[name].shape}, should be {wanted.shape}"
        difference = _difference(heard[name], wanted)
        if difference > TOLERANCE:
            return difference, f"{name} is {_short(heard[name])}, should be {_short(wanted)}"
        largest = max(largest, difference)
    return largest, ""


def _difference(heard: np.ndarray, known: np.ndarray) -> float:
    """Floats: the largest difference, relative above 1; infinite where only one is finite, or where anything else differs."""
    if known.dtype.kind != "f":
        return 0.0 if heard.tolist() == known.tolist() else float("inf")
    left, right = heard.astype(np.float64), known.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(left - right) / np.maximum(1.0, np.abs(right)))
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))


def _short(array: np.ndarray) -> str:
    return np.array2string(array, threshold=6, edgeitems=2, precision=7, separator=", ").replace("\n", "")


def _typed_api(client: httpx.Client, address: Address, inputs: Batch) -> dict[str, np.ndarray]:
    """BentoML's API: POST /predict with the arrays as nested lists."""
    body = {"inputs": {name: _json(array) for name, array in inputs.items()}}
    reply = _object(client.post(f"{address.api}/predict", json=body))
    return {name: _array(values) for name, values in reply.items()}


def _open_inference(client: httpx.Client, address: Address, inputs: Batch) -> dict[str, np.ndarray]:
    """Open Inference Protocol V2, REST with JSON tensors: data is flat, in row-major order."""
    reply = _object(client.post(f"{address.open_inference}{infer_path(address.model)}", json={"inputs": tensors(inputs)}))
    return {item["name"]: _array(item["data"]).reshape(item["shape"]) for item in reply["outputs"]}


def _over_grpc(client: httpx.Client, address: Address, inputs: Batch) -> dict[str, np.ndarray]:
    """Open Inference Protocol V2, gRPC with the tensors as bytes."""
    return over_grpc.infer(address.grpc, address.model, inputs, _TIMEOUT_S)


def infer_path(model: str) -> str:
    """Where the Open Inference Protocol asks a model of this name."""
    return f"/v2/models/{model}/infer"


def tensors(inputs: Batch) -> list[dict[str, Any]]:
    """The inputs as the Open Inference Protocol V2 writes them in JSON."""
    return [
        {"name": name, "shape": list(array.shape), "datatype": _datatype(array), "data": _json(array.ravel())}
        for name, array in inputs.items()
    ]


OVER_GRPC = "oip-grpc"
PROTOCOLS: Mapping[str, Protocol] = {"bentoml": _typed_api, "oip-rest": _open_inference, OVER_GRPC: _over_grpc}


def _object(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    body = response.json()
    if not isinstance(body, dict):
        raise ValueError(f"the reply is no JSON object: {str(body)[:200]}")
    return body


def _datatype(array: np.ndarray) -> str:
    return "BYTES" if array.dtype.kind in "OSU" else _DATATYPES[array.dtype.str[1:]]


def _json(array: np.ndarray) -> Any:  # noqa: ANN401 - nested lists
    """Nested lists; a missing number, which JSON has no word for, is null."""
    if array.dtype.kind != "f":
        return array.tolist()
    values = array.astype(object)
    values[np.isnan(array)] = None
    return values.tolist()


def _array(values: Any) -> np.ndarray:  # noqa: ANN401 - nested lists
    """An array again; with nulls among the numbers, one of floats."""
    array = np.asarray(values)
    return array.astype(np.float64) if array.dtype == object else array
