"""The machine that results are bound to."""

import os

from fdpipe.machine import describe_machine


def test_this_machine_is_described() -> None:
    machine = describe_machine()
    assert machine.processor
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.memory_gib > 0
    assert machine.system.startswith("Linux ")
    assert len(machine.fingerprint) == 16


def test_the_description_stays_the_same() -> None:
    first = describe_machine()
    describe_machine.cache_clear()
    assert describe_machine() == first
