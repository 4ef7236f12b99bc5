"""Load from outside, by programs that are made for it: wrk for HTTP/1.1, h2load for gRPC; and what they say."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LUA = Path(__file__).with_name("send.lua")
PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client", "taskset": "util-linux"}
"""The programs, and the Debian packages that bring them."""

CORE = 1
"""Of the load; the servers have core 0."""

CONNECTIONS = 8
PREFIX_BYTES = 5
"""Before each message of gRPC: whether it is compressed, and its length."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request, sent again and again: POST `body` to `url`."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    grpc: bool = False


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What came of a short load: answers a second, their latencies, how many requests failed, and how many answers a second
    of the processor's own time gave, which other programs beside it hardly change."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int = 0
    per_processor_s: float = 0.0


def absent() -> dict[str, str]:
    """The programs that are missing, with their Debian packages."""
    return {program: package for program, package in PACKAGES.items() if shutil.which(program) is None}


def framed(message: bytes) -> bytes:
    """A message of gRPC as it is sent."""
    return b"\0" + len(message).to_bytes(PREFIX_BYTES - 1, "big") + message


def shoot(ask: Ask, seconds: int, connections: int = CONNECTIONS) -> Shot:
    """Ask it for so long; `RuntimeError` where the program failed."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(framed(ask.body) if ask.grpc else ask.body)
        if not ask.grpc:
            words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(LUA), ask.url]
            headers = [word for pair in ask.headers.items() for word in pair]
            return of_wrk(_said([*words, "--", str(body), *headers]))
        words = ["h2load", "-t1", f"-c{connections}", "-m1", f"-D{seconds}", f"--data={body}"]
        headers = [f"--header={name}: {value}" for name, value in ask.headers.items()]
        said = _said([*words, *headers, f"--log-file={log}", ask.url])
        return of_h2load(said, log.read_text(), seconds)


def of_wrk(said: str) -> Shot:
    """By the two lines of send.lua: counts and microseconds."""
    counted, latency = re.search(r"^counted (.*)$", said, re.M), re.search(r"^latency (\d+) (\d+)$", said, re.M)
    if counted is None or latency is None:
        raise RuntimeError(f"wrk said: {said.strip()[-300:]}")
    requests, microseconds, *failed = (int(word) for word in counted[1].split())
    return Shot(
        requests_per_s=(requests - failed[-1]) / (microseconds / 1e6),
        p50_ms=int(latency[1]) / 1e3,
        p99_ms=int(latency[2]) / 1e3,
        failed=sum(failed),
    )


def of_h2load(said: str, log: str, seconds: int) -> Shot:
    """By its summary, and by its log of every request: start, status, microseconds."""
    counts = re.search(r"^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said, re.M)
    took = sorted(int(line.split("\t")[2]) for line in log.splitlines() if line.split("\t")[1] == "200")
    if counts is None or not took:
        raise RuntimeError(f"h2load said: {said.strip()[-300:]}")
    return Shot(
        requests_per_s=int(counts[1]) / seconds,
        p50_ms=_percentile(took, 0.5) / 1e3,
        p99_ms=_percentile(took, 0.99) / 1e3,
        failed=int(counts[2]) + int(counts[4]),
    )


def _percentile(ascending: Sequence[int], share: float) -> int:
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def _said(words: Sequence[str]) -> str:
    done = subprocess.run(["taskset", "-c", str(CORE), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[0]} exited with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout
