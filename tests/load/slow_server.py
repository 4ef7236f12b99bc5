"""An HTTP server whose service time is known: it answers one request after the other, however many there are at once."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class SlowServer:
    """Each POST takes `service_s`, alone; `statuses` come in turn. `bodies` and `arrivals` are what came, and when."""

    service_s: float = 0.0
    statuses: tuple[int, ...] = (200,)
    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, turn: asyncio.Lock) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = next((line.partition(":")[2] for line in head.splitlines() if line.startswith("content-length")), "0")
                body = await reader.readexactly(int(length))
                self.arrivals.append(time.perf_counter())
                self.bodies.append(body)
                status = self.statuses[(len(self.bodies) - 1) % len(self.statuses)]
                async with turn:
                    await asyncio.sleep(self.service_s if head.startswith("post") else 0.0)
                writer.write(f"HTTP/1.1 {status} -\r\ncontent-length: 2\r\n\r\n{{}}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@contextmanager
def running(server: SlowServer) -> Iterator[SlowServer]:
    """On a loop in a thread of its own, on a free port of loopback."""
    loop = asyncio.new_event_loop()
    turn = asyncio.Lock()
    listening = loop.run_until_complete(
        asyncio.start_server(lambda reader, writer: server.serve(reader, writer, turn), "127.0.0.1", 0)
    )
    server.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
