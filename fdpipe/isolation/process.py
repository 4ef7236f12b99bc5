"""An original in a child process that can do no harm."""

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from fdpipe import sandbox, workers
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.errors import ConversionError, OriginalLost
from fdpipe.interfaces import Export, Loader
from fdpipe.isolation import launch, received, wire
from fdpipe.isolation.launch import Interpreter, Limits
from fdpipe.isolation.messages import Call, Reply, Request

DOING = {
    Call.START: "while its process started",
    Call.LOAD: "while it was loaded",
    Call.EXPORT: "while it was exported",
    Call.PREDICT: "while it answered",
}

GRACE_S = 1.0
"""How long it has to end by itself when nobody asks any more."""

Answer = tuple[Reply, dict[str, np.ndarray]]


class Isolated:
    """An original in a child process. Thread-safe, one call at a time; close it, or use it as a context manager. What a
    later call may take of time is in `limits`."""

    versions: Mapping[str, str]
    limits: Limits

    def __init__(
        self, converter: Loader, model: SourceModel, limits: Limits, scratch: Path, python: Interpreter | None = None
    ) -> None:
        """Start the child, of this environment unless another's Python is given, and load the model there. `scratch` is an
        empty folder for what is needed meanwhile."""
        self.limits, self._scratch = limits, scratch.absolute()
        self._asking = threading.Lock()
        self._exports = 0
        self._lost: str | None = None
        self._channel, theirs = socket.socketpair()
        with theirs, _closed_on_failure(self._channel):
            self._process = launch.start(
                python or launch.this_interpreter(), limits, self._scratch, model.path.absolute(), theirs
            )
        try:
            started, _ = self._reply(Call.START, wire.Deadline.after(limits.seconds))
            _refuse_unconfined(converter, model, started.missing)
            found = replace(model, path=model.path.absolute())
            settings, room = workers.describe(converter), workers.room_of(converter) or "converter"
            load = Request(call=Call.LOAD, converter=settings, room=room, model=found)
            self.versions = self._ask(load)[0].versions
        except BaseException:
            self.close()
            raise

    @property
    def process_id(self) -> int:
        """The process that keeps the sandbox; all that is in it ends with that one."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked, as far as is known: its process may die at any moment."""
        return not self._lost and self._process.poll() is None

    def __enter__(self) -> "Isolated":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def export(self, folder: Path, precision: Precision) -> Export:
        """What its converter makes of it, in `folder`, which is empty."""
        with self._asking:
            self._exports += 1
            made = self._scratch / launch.EXPORTS / str(self._exports)
            export = self._ask(Request(call=Call.EXPORT, folder=str(made), precision=precision))[0].export
            if export is None:
                raise self._gone("sent no export", Call.EXPORT)
            return replace(export, path=received.fetch(made, folder, export.path))

    def predict(self, features: Batch) -> dict[str, np.ndarray]:
        """Its own answers."""
        with self._asking:
            return self._ask(Request(call=Call.PREDICT), features)[1]

    def close(self) -> None:
        """End the child and all that it started; a call under way ends in `OriginalLost`."""
        if not self._lost:
            self._lost = "the original was closed"
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
        launch.end(self._process)
        with self._asking:
            self._channel.close()

    def _ask(self, request: Request, arrays: Batch | None = None) -> Answer:
        """One call and its answer; whatever interrupts it, the next one would get this one's answer: there is none."""
        if self._lost:
            raise OriginalLost(self._lost)
        deadline = wire.Deadline.after(self.limits.seconds)
        try:
            message = wire.pack(request, arrays or {})
        except (TypeError, ValueError) as error:
            raise ConversionError(f"the rows cannot be sent to the original: {error}") from error
        try:
            wire.send(self._channel, message, deadline)
        except TimeoutError as error:
            raise self._gone(self._too_long(), request.call) from error
        except OSError as error:
            raise self._ended(request.call) from error
        except BaseException:
            self._gone("was interrupted", request.call)
            raise
        return self._reply(request.call, deadline)

    def _reply(self, call: Call, deadline: wire.Deadline) -> Answer:
        try:
            reply, arrays = wire.receive(self._channel, Reply, deadline)
        except TimeoutError as error:
            raise self._gone(self._too_long(), call) from error
        except (EOFError, OSError) as error:
            raise self._ended(call) from error
        except (wire.BrokenMessage, MemoryError) as error:
            raise self._gone(f"sent what is no answer ({received.one_line(str(error))[:200]})", call) from error
        except BaseException:
            self._gone("was interrupted", call)
            raise
        if reply.refusal is None:
            return reply, arrays
        if reply.refusal.kind == MemoryError.__name__:
            raise self._gone(self._too_large(), call)
        raise received.error(reply.refusal)

    def _too_long(self) -> str:
        return f"took longer than {self.limits.seconds:g} s (converter.seconds)"

    def _too_large(self) -> str:
        return f"took more than {self.limits.memory_gib:g} GiB of memory (converter.memory_gib)"

    def _ended(self, call: Call) -> OriginalLost:
        """It has closed its end: what became of it."""
        if self._lost:
            return OriginalLost(self._lost)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(launch.ENDING_S)
        match self._process.returncode:
            case None:
                return self._gone("stopped to listen", call)
            case sandbox.OUT_OF_MEMORY:
                return self._gone(self._too_large(), call)
            case code if code > 128 or code < 0:
                return self._gone(f"was ended by {_signal(code)}", call)
            case code:
                return self._gone(f"ended with exit code {code}", call)

    def _gone(self, what: str, call: Call) -> OriginalLost:
        """From now on it can be asked no more."""
        launch.end(self._process)
        words = received.last_words(self._scratch / launch.LOG)
        self._lost = self._lost or f"the original {what} {DOING[call]}{words}"
        return OriginalLost(self._lost)


@contextlib.contextmanager
def _closed_on_failure(channel: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        channel.close()
        raise


def _signal(code: int) -> str:
    number = code - 128 if code > 128 else -code
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _refuse_unconfined(converter: Loader, model: SourceModel, missing: tuple[str, ...]) -> None:
    """`ConversionError` where code of the model would run in a process that is not confined."""
    if missing and (risk := converter.risk(model)):
        lacking = received.one_line(", ".join(missing))
        raise ConversionError(
            f"{model.ref.name} holds code, {risk}, and this machine cannot isolate it ({lacking}): only formats that hold no "
            "code are converted here, fdpipe doctor says more"
        )
