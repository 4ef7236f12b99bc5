"""The bench as a whole: `python -m bench serve`, or some parts of it, and the page when all of them are there."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import fdpipe
from bench.gate.kept import Kept
from bench.gate.page import Row, tables
from bench.serve import in_process, load, models, overload, page, rows
from bench.serve.models import Subject
from bench.serve.rows import Overload, Round
from bench.serve.servers import BINARY, FIRST_PORT, HOST, IN_PROCESS, started
from fdpipe.bento import free_port
from fdpipe.errors import FdpipeError
from fdpipe.home import home, settle_environment

FEW = "--trials="
"""Behind it the number of rounds, for a look that takes less time and writes no page."""
FRESH = "--fresh"
"""Rounds of an earlier run, or of one that was cut short, are made again."""

ROUNDS = {"tiny": 4, "image": 3, "overload": 3}
SECONDS = {"tiny": 1, "image": 2}
"""Of each server in each round."""

_TELLS = ("page.py", "rows.py", "run.py")
MEASURED = tuple(
    path
    for path in sorted(
        [
            *Path(__file__).parent.rglob("*.py"),
            *Path(__file__).parent.rglob("*.lua"),
            *Path(fdpipe.__file__).parent.rglob("*.py"),
        ]
    )
    if path.parent != Path(__file__).parent or path.name not in _TELLS
)
"""The code of which a change makes what was kept be made again."""

TITLES = {
    "tiny": "A tiny model of 27 µs, 8 connections",
    "image": "A model of images, 600 KB in and 5 ms, 8 connections",
    "overload": "Ten times the capacity",
}
TOLD = {
    "tiny": f"""All servers run at the same time on core {in_process.SERVERS_CORE} and are asked in turn, in {ROUNDS["tiny"]}
rounds of {SECONDS["tiny"]} s each, from core {load.CORE}: by wrk, and by h2load where it is gRPC. A ratio is the median over
the rounds of two that were measured in the same round, with the least and the most of them in brackets. Before that each
server's answer was compared with the model's own. fdpipe's is a release of the package stage under `bentoml serve`, with
checks, limits and the monitors service, host and model; its sizes are derived from timings of this core. Every
model runs on one thread of ONNX Runtime. BentoML and FastAPI are asked in JSON, as their documentation does; MLServer has no
process of its own for the model (`parallel_workers` 0), since all of it has one core. *A processor second* is one that the
server's processes used, whatever else ran: it tells the costs apart on a machine that others use.""",
    "image": f"""The same with one row of 3 × 224 × 224 float32, in {ROUNDS["image"]} rounds of {SECONDS["image"]} s each.""",
    "overload": f"""A model of about 5 ms with 37 KB in, served for this alone. Its capacity is what wrk gets with
{overload.CONNECTIONS} connections in {overload.CAPACITY_S} s; then {overload.TIMES} times as many requests arrive at random
(Poisson, an open loop) for {overload.OVERLOAD_S} s, each with the service's limit of {overload.LIMIT_S:g} s. Goodput is what
is answered with 200, divided by the time until the last answer. Memory is the most that the service's processes have held, as
the kernel counts it: before any load, and after.""",
}


def main(words: Sequence[str]) -> int:
    """1 where a row was missed, each of which is named; 2 for a word that means nothing, or where a program is missing."""
    given = next((word.removeprefix(FEW) for word in words if word.startswith(FEW)), "")
    unknown = [word for word in words if word not in (*ROUNDS, FRESH) and not word.startswith(FEW)]
    if unknown or (any(word.startswith(FEW) for word in words) and not (given.isdecimal() and int(given))):
        allowed = ", ".join((*ROUNDS, f"{FEW}NUMBER", FRESH))
        print(f"bench serve knows no {' '.join(unknown) or FEW + given}: it has {allowed}", file=sys.stderr)
        return 2
    if reason := _cannot():
        print(f"bench serve cannot measure: {reason}", file=sys.stderr)
        return 2
    settle_environment()
    began = time.perf_counter()
    parts = [word for word in words if word in ROUNDS] or list(ROUNDS)
    found: dict[str, Sequence[Row]] = {}
    for name in parts:
        count = int(given) if given else ROUNDS[name]
        found[TITLES[name]] = PARTS[name](count, fresh=FRESH in words)
        print(tables({TITLES[name]: found[TITLES[name]]}, {}), flush=True)
    if set(parts) == set(ROUNDS) and not given:
        page.PAGE.write_text(page.page(found, {TITLES[name]: TOLD[name] for name in parts}))
    missed = [row for each in found.values() for row in each if row.holds is False]
    for row in missed:
        print(f"missed: {row.what}: {row.found}, wanted {row.wanted}")
    print(f"{time.perf_counter() - began:.0f} s")
    return 1 if missed else 0


def _cannot() -> str:
    """Why nothing can be measured here; empty where it can."""
    if absent := load.absent():
        return f"{', '.join(absent)} are missing: apt-get install {' '.join(dict.fromkeys(absent.values()))}"
    if not {in_process.SERVERS_CORE, load.CORE} <= os.sched_getaffinity(0):
        return f"the servers need core {in_process.SERVERS_CORE}, the load core {load.CORE}"
    return ""


def compared(subject: Subject, count: int, *, fresh: bool) -> list[Round]:
    """The rounds of a model that all servers serve."""
    kept = Kept(subject.name, MEASURED, {"seconds": SECONDS[subject.name]}, home() / "bench" / "serve")
    if fresh:
        kept.forget()
    rounds = {number: Round.of(**fields) for number, fields in kept.read().items() if number < count}
    if len(rounds) < count:
        with tempfile.TemporaryDirectory() as scratch, started(subject, Path(scratch) / "servers") as (running, model):
            seconds = SECONDS[subject.name]
            for one in running.asked:
                one.shoot(1)
            for number in (number for number in range(count) if number not in rounds):
                shots = {IN_PROCESS: in_process.shoot(model, seconds)}
                shots |= {one.name: one.shoot(seconds) for one in running.asked}
                rounds[number] = Round(shots=shots, missing=running.missing)
                kept.add(number, rounds[number])
                told = ", ".join(f"{name} {shot.requests_per_s:,.0f}/s" for name, shot in shots.items())
                print(f"{subject.name}, round {number + 1} of {count}: {told}", flush=True)
    return [rounds[number] for number in range(count)]


def tiny(count: int, *, fresh: bool) -> list[Row]:
    """Its ratios, its tail, and every server's figures."""
    rounds = compared(models.TINY, count, fresh=fresh)
    return [*rows.ratios(rounds, rows.TINY), rows.tail(rounds, BINARY), *rows.figures(rounds)]


def image(count: int, *, fresh: bool) -> list[Row]:
    """Its ratios and every server's figures."""
    rounds = compared(models.IMAGE, count, fresh=fresh)
    return [*rows.ratios(rounds, rows.IMAGE), *rows.figures(rounds)]


def overloaded(count: int, *, fresh: bool) -> list[Row]:
    """Goodput and memory; the service is started anew for each round. One in which the sender fails is left out."""
    kept = Kept("overload", MEASURED, {}, home() / "bench" / "serve")
    if fresh:
        kept.forget()
    found = {number: Overload(**fields) for number, fields in kept.read().items() if number < count}
    for number in (number for number in range(count) if number not in found):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found[number] = overload.measure(models.HEAVY, Path(scratch), free_port(HOST, FIRST_PORT))
            except FdpipeError as error:
                print(f"overload, round {number + 1} of {count}: not measured: {error}", flush=True)
                continue
        kept.add(number, found[number])
        print(f"overload, round {number + 1} of {count}: {found[number]}", flush=True)
    return rows.overload([found[number] for number in range(count) if number in found])


PARTS: dict[str, Callable[..., list[Row]]] = {"tiny": tiny, "image": image, "overload": overloaded}
