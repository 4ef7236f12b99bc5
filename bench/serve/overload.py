"""Ten times what the service can do: how much of it is answered well, and what memory it takes."""

import os
from pathlib import Path

from bench.serve import asks, load, ours
from bench.serve.models import Subject
from bench.serve.process import children
from bench.serve.rows import Overload
from fdpipe.bento import Bento, url
from fdpipe.load.modes import MOST_CONNECTIONS, Open
from fdpipe.load.sending import Address, Job, send
from fdpipe.load.wire import Request

CONNECTIONS = 64
TIMES = 10
CAPACITY_S, OVERLOAD_S = 3, 5
LIMIT_S = 2.0
"""Of the service for a request: what it cannot answer by then it is to refuse."""

PATIENCE_S = 6.0
"""Of a caller: longer, so that it is the service that refuses."""

MIB = 2**20


def measure(subject: Subject, folder: Path, port: int) -> Overload:
    """One service, started for this; the load comes from the load's core, by fdpipe's own sender, in an open loop."""
    with ours.served(subject, folder, port, LIMIT_S) as bento:
        path = f"/v2/models/{subject.name}/infer"
        ask = asks.oip_binary(f"{url(ours.HOST, port + 1)}{path}", subject.row())
        asks.read_binary(ask)
        idle_mib = _peak_mib(bento)
        capacity = load.shoot(ask, CAPACITY_S, CONNECTIONS).requests_per_s
        offered = Open(rate=TIMES * capacity, seconds=OVERLOAD_S, connections=MOST_CONNECTIONS)
        request = Request(path=path, content=ask.body, headers=dict(ask.headers))
        os.sched_setaffinity(0, {load.CORE})
        (found,) = send(Address(host=url(ours.HOST, port + 1), timeout_s=PATIENCE_S), [Job(load=offered, requests=[request])])
        return Overload(
            capacity=capacity,
            goodput=found.statuses.get("200", 0) / found.seconds,
            statuses=dict(found.statuses),
            idle_mib=idle_mib,
            peak_mib=_peak_mib(bento),
            late_ms=found.sending.late_p99_ms,
            waited=found.waited,
        )


def _peak_mib(bento: Bento) -> float:
    """The most that the master and its workers have held so far, as the kernel counts it."""
    return sum(_high_water_mib(pid) for pid in (bento.master.pid, *(one.pid for one in children(bento.master.pid))))


def _high_water_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / MIB
