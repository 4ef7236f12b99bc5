"""What a service speaks, found by asking it; an absent protocol has its reason."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from fdpipe.conformance import model, remote, rows
from fdpipe.conformance.rest import Rest
from fdpipe.conformance.subject import Load, Place, Subject
from fdpipe.errors import ConfigError, SourceError

_PROBE = "/v2/health/live"
_PORTS_AFTER = (1, 2)
"""Where gRPC mostly is: Triton, MLServer and our own protocol's port have it one after the port of REST, and our BentoML's
port two after it."""


def find(place: Place, client: httpx.Client, load: Load | None = None) -> Subject:
    """Probe it. `SourceError` where nobody answers at all, `ConfigError` where there are several models and none is named, or
    where the golden file is none."""
    live = _get(client, _PROBE, place)
    name = place.model or _only_model(client)
    rest: Rest | str = Rest(client=client, model=name)
    described: object = None
    if live.status_code != 200:
        rest = f"it does not speak the Open Inference Protocol over REST: GET {_PROBE} gives {live.status_code}"
    elif not name:
        rest = "it does not tell its models' names (/v2/repository/index, /v2/models): name one with --model"
    else:
        described = _json(client.get(f"/v2/models/{name}"))
    over_grpc = _grpc(place, name)
    known = _model(described, over_grpc)
    return Subject(
        place=place,
        client=client,
        rest=rest,
        remote=over_grpc,
        described=described,
        model=known,
        rows=_rows(place, known),
        load=load,
    )


def _get(client: httpx.Client, path: str, place: Place) -> httpx.Response:
    try:
        return client.get(path)
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise SourceError(f"nobody answers at {place.url}: {why}; start the service, or give its http://HOST:PORT") from error


def _only_model(client: httpx.Client) -> str:
    """The only one's name; empty where the server does not tell."""
    found = _names(client)
    if len(found) > 1:
        raise ConfigError(f"the service has the models {', '.join(found)}: name one with --model")
    return found[0] if found else ""


def _names(client: httpx.Client) -> list[str]:
    """Triton, MLServer and ours tell it at the repository's index, KServe's servers at /v2/models."""
    index = _json(client.post("/v2/repository/index", json={}))
    if isinstance(index, list):
        return sorted({str(one["name"]) for one in index if isinstance(one, dict) and one.get("name")})
    listed = _json(client.get("/v2/models"))
    names = listed.get("models") if isinstance(listed, dict) else None
    return sorted({one for one in names if isinstance(one, str)}) if isinstance(names, list) else []


def _json(response: httpx.Response) -> object:
    """None where it is none, or no success."""
    try:
        return response.json() if response.status_code == 200 else None
    except ValueError:
        return None


def _grpc(place: Place, name: str) -> remote.Remote | str:
    if not name:
        return "gRPC is asked for a model by its name, which is not known: name it with --model"
    reasons = []
    for address in _addresses(place):
        try:
            return remote.connect(address, name, place.headers, place.timeout_s)
        except remote.Absent as reason:
            reasons.append(str(reason))
    return f"{'; '.join(reasons)}" + ("" if place.grpc else "; name it with --grpc HOST:PORT if there is one")


def _addresses(place: Place) -> Iterator[str]:
    if place.grpc:
        yield place.grpc
        return
    parts = urlsplit(place.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    yield from (f"{host}:{(parts.port or 0) + after}" for after in _PORTS_AFTER)


def _model(described: object, over_grpc: remote.Remote | str) -> model.Model | str:
    """From REST, or else from gRPC."""
    try:
        if described is not None:
            return model.read(described)
        if isinstance(over_grpc, remote.Remote):
            return over_grpc.described()
    except ValueError as error:
        return str(error)
    return "it does not tell its model's metadata"


def _rows(place: Place, known: model.Model | str) -> rows.Rows | str:
    if place.golden is not None:
        return rows.golden(place.golden)
    if isinstance(known, str):
        return f"there are no rows to ask: {known}"
    try:
        return rows.made(known.inputs)
    except ValueError as error:
        return f"there are no rows to ask: {error}; give rows with --golden FILE"
