"""How many threads scikit-learn may use within a call, whatever the environment has set, and however many calls there are."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


class _Shared:
    """A limit of the whole process, as that of BLAS is: the first call sets it, and the last one to end lifts it. Each call
    that lifted its own would restore what another had set, and leave that for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._limit: Any = None

    @contextmanager
    def limited(self, controller: Any, threads: int) -> Iterator[None]:  # noqa: ANN401 - threadpoolctl has no types
        with self._lock:
            if not self._calls:
                self._limit = controller.limit(limits=threads)
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._limit.restore_original_limits()


_BLAS = _Shared()


def bounded(threads: int) -> Callable[[], AbstractContextManager[None]]:
    """What a call is made in: OpenMP, whose limit is each thread's own, and BLAS use so many threads; and joblib, which some
    estimators would start processes by, threads."""
    from joblib import parallel_config  # type: ignore[import-untyped]
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    controller = ThreadpoolController()
    openmp, blas = (controller.select(user_api=name) for name in ("openmp", "blas"))

    @contextmanager
    def within() -> Iterator[None]:
        with openmp.limit(limits=threads), _BLAS.limited(blas, threads), parallel_config(backend="threading"):
            yield

    return within
