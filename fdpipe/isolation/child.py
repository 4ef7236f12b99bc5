"""The child's side: load the original once, then do what is asked until nobody asks any more."""

import contextlib
import gc
import socket
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.errors import ConversionError, FdpipeError
from fdpipe.isolation import wire
from fdpipe.isolation.messages import Call, Refusal, Reply, Request

Outcome = tuple[Reply, dict[str, np.ndarray]]


def main(handle: int, missing: Iterable[str]) -> None:
    """Serve the socket until the other side closes it."""
    with socket.socket(fileno=handle) as channel, contextlib.suppress(EOFError, ConnectionError):
        wire.send(channel, wire.pack(Reply(missing=tuple(missing)), {}))
        serving = Serving()
        while True:
            request, arrays = wire.receive(channel, Request)
            _answer(channel, serving, request, arrays)
    gc.freeze()  # or Python would look through everything once more at its end


def _answer(channel: socket.socket, serving: "Serving", request: Request, arrays: Batch) -> None:
    """Whatever the converter, its libraries or the model raise goes to the other side."""
    try:
        reply, answers = serving.do(request, arrays)
        message = wire.pack(reply, answers)
    except BaseException as error:
        message = wire.pack(Reply(refusal=refusal(error)), {})
    wire.send(channel, message)


def refusal(error: BaseException) -> Refusal:
    """An error as it travels: ours in its own words, any other by its type and first line."""
    kind = type(error).__name__
    if isinstance(error, FdpipeError):
        return Refusal(kind=kind, text=str(error))
    lines = str(error).strip().splitlines()
    return Refusal(kind=kind, text=f"{kind}: {lines[0]}" if lines else kind)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The installed versions of these distributions; one that is not installed is left out."""
    found = {}
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


class Serving:
    """What has been loaded."""

    def __init__(self) -> None:
        self._converter: Any = None
        self._model: Any = None
        self._original: Any = None

    def do(self, request: Request, arrays: Batch) -> Outcome:
        """One call."""
        match request.call:
            case Call.LOAD:
                return self._load(request), {}
            case Call.EXPORT:
                return self._export(request), {}
            case Call.PREDICT:
                return Reply(), dict(self._converter.predict(self._model, self._original, arrays))
        raise ConversionError(f"nothing is known of {request.call}")

    def _load(self, request: Request) -> Reply:
        self._model = request.model
        self._converter = workers.build(request.room, request.converter)
        self._original = self._converter.load(self._model)
        return Reply(versions=versions_of(self._converter.packages))

    def _export(self, request: Request) -> Reply:
        folder = Path(request.folder)
        folder.mkdir(parents=True)
        export = self._converter.export(self._model, self._original, folder, request.precision)
        return Reply(export=replace(export, path=export.path.relative_to(folder)))
