"""One model compiled for any shape of its inputs and, for the shapes that come most, once more for each."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe.errors import StageError

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

Shapes = tuple[tuple[int, ...], ...]
"""Of a call's inputs, in the model's order."""

OFTEN = 3
"""Which call with the same shapes makes a model for them."""

WATCHED = 256
"""Of so many shapes the calls are counted; then anew."""

_LOG = logging.getLogger(__name__)


class Model:
    """A compiled model with its idle requests. Thread-safe."""

    def __init__(self, compiled: "CompiledModel") -> None:
        self.compiled = compiled
        self._idle: list[InferRequest] = []

    @property
    def idle(self) -> int:
        """How many requests wait to be used again."""
        return len(self._idle)

    def infer(self, tensors: Mapping[int, np.ndarray]) -> Any:  # noqa: ANN401 - openvino's dictionary
        """The outputs by number, copied; what failed is not used again."""
        try:
            request = self._idle.pop()  # one step, whatever other threads do
        except IndexError:
            request = self.compiled.create_infer_request()
        found = request.infer(tensors, share_inputs=True)
        self._idle.append(request)
        return found


class Models:
    """`compiled` makes a model for some shapes, or with None for all; at most `limit` are made for some. Thread-safe."""

    def __init__(self, compiled: Callable[[Shapes | None], "CompiledModel"], limit: int) -> None:
        self.general = Model(compiled(None))
        is_open = any(axis.is_dynamic for port in self.general.compiled.inputs for axis in port.partial_shape)
        self.limit = limit if is_open else 0
        self._compiled = compiled
        self.made: dict[Shapes, Model] = {}
        self._calls: dict[Shapes, int] = {}
        self._lock = threading.Lock()

    def for_shapes(self, shapes: Shapes) -> Model:
        """The model for these very shapes or, as long as there is none, the general one.

        The call that makes one waits for it; others meanwhile do not.
        """
        if (made := self.made.get(shapes)) is not None:
            return made
        if len(self.made) >= self.limit:
            return self.general
        with self._lock:
            if not self._is_due(shapes):
                return self.general
            self.made[shapes] = self.general  # for the others, until it is made, and for good where it cannot be
        self.made[shapes] = self._special(shapes)
        return self.made[shapes]

    def _is_due(self, shapes: Shapes) -> bool:
        if shapes in self.made or len(self.made) >= self.limit or any(0 in shape for shape in shapes):
            return False
        if len(self._calls) >= WATCHED:
            self._calls.clear()
        self._calls[shapes] = self._calls.get(shapes, 0) + 1
        return self._calls[shapes] >= OFTEN

    def _special(self, shapes: Shapes) -> Model:
        try:
            return Model(self._compiled(shapes))
        except StageError as error:
            _LOG.info("no model of its own for %s: %s", shapes, error)
            return self.general
