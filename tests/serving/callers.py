"""Callers who ask without a pause, each on a connection of its own, and ask once more where that was reset."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 20.0
PAUSE_S = 0.1
"""After a request that failed twice."""


@dataclass
class Callers:
    """What became of their requests: by status, or by the error of the second try."""

    port: int
    path: str
    body: bytes
    headers: dict[str, str]
    told: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def succeeded(self) -> float:
        """The share that was answered with 200."""
        return self.told["200"] / max(1, self.told.total())

    @contextmanager
    def asking(self, count: int) -> Iterator[None]:
        """So many of them, until the block is left."""
        threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(2 * TIMEOUT_S)

    def _ask_on(self) -> None:
        connection = self._connected()
        while not self.over.is_set():
            try:
                self.told[self._ask(connection)] += 1
            except (OSError, HTTPException):
                self.retried += 1
                connection.close()
                connection = self._connected()
                try:
                    self.told[self._ask(connection)] += 1
                except (OSError, HTTPException) as error:
                    self.told[type(error).__name__] += 1
                    self.over.wait(PAUSE_S)

    def _connected(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)

    def _ask(self, connection: HTTPConnection) -> str:
        connection.request("POST", self.path, self.body, self.headers)
        reply = connection.getresponse()
        reply.read()
        return str(reply.status)
