"""A worker that died comes back at once: BentoML's master itself looks only every ten seconds.

The master is a circus arbiter, which takes commands over ZeroMQ on a port of 127.0.0.1 (circus's documentation, "Commands"):
`set` with a number of processes has it start as many workers as are missing. This module waits for the death and sends that.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import psutil

YOUNG_S = 2.0
"""A worker that dies younger than this would die again: that is left to BentoML's own look, which is slow enough."""

WATCHER = "service"
"""The name that BentoML gives its workers' watcher."""

_LOOK_EVERY_S = 0.2
_ANSWER_WITHIN_S = 2.0

log = logging.getLogger(__name__)


def watch_workers(workers: int) -> None:
    """Begin, in the master of so many; returns at once. Only where the service has ports beside BentoML's own."""
    threading.Thread(target=_watch, args=(workers,), daemon=True, name="fdpipe-workers").start()


def _watch(workers: int) -> None:
    while not (endpoints := [one for one in _own_ports() if _told(one, "list")]):
        time.sleep(_LOOK_EVERY_S)
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            time.sleep(_LOOK_EVERY_S)
            continue
        if dead is not None and _age_s(dead.si_pid) >= YOUNG_S:
            _told(endpoints[0], "set", name=WATCHER, options={"numprocesses": workers})
        time.sleep(_LOOK_EVERY_S)  # it is seen again until the master reaps it


def _own_ports() -> Sequence[str]:
    """Where this process alone listens: the arbiter's two ports, of which one publishes events and takes no commands. None
    before a worker has opened a port of its own: a first one that cannot start is to end the service."""
    own, workers = _listening(psutil.Process()), set()
    for child in psutil.Process().children():
        workers |= _listening(child)
    return [f"tcp://127.0.0.1:{port}" for port in sorted(own - workers)] if workers - own else []


def _listening(process: psutil.Process) -> set[int]:
    try:
        found = process.net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}


def _age_s(pid: int) -> float:
    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _told(endpoint: str, command: str, **properties: object) -> bool:
    """Whether it took the command. A master that is stopping refuses to start anything."""
    from circus.client import CircusClient  # type: ignore[import-untyped]
    from circus.exc import CallError  # type: ignore[import-untyped]

    client = CircusClient(endpoint=endpoint, timeout=_ANSWER_WITHIN_S)
    try:
        reply: dict[str, Any] = client.send_message(command, **properties)
        return reply.get("status") == "ok"
    except CallError as error:
        log.debug("%s did not take %r: %s", endpoint, command, error)
        return False
    finally:
        client.stop()
