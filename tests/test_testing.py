"""There is a fake for every room, and each is a worker like any other."""

from dataclasses import is_dataclass
from typing import Any

import pytest

from fdpipe import testing, workers
from fdpipe.errors import ConfigError
from fdpipe.plan import Plan
from fdpipe.testing.rehearsal import fake_plan

ROOMS = {kind: kind.__module__.rpartition(".")[2] for name, kind in vars(testing).items() if name.startswith("Fake")}
FAKES = [kind for kind, room in ROOMS.items() if room in workers.ROOMS and is_dataclass(kind)]


def test_every_room_has_one() -> None:
    assert {ROOMS[kind] for kind in FAKES} == set(workers.ROOMS)


@pytest.mark.parametrize("kind", FAKES)
def test_it_can_be_written_down_and_made_again(kind: Any) -> None:  # noqa: ANN401 - any fake
    worker = kind()
    assert workers.room_of(worker) == ROOMS[kind]
    assert workers.build(ROOMS[kind], workers.describe(worker)) == worker


@pytest.mark.parametrize("kind", FAKES)
def test_it_has_every_method_of_its_protocol(kind: Any) -> None:  # noqa: ANN401 - any fake
    wanted = {name for name in vars(workers.ROOMS[ROOMS[kind]]) if not name.startswith("_")}
    assert all(hasattr(kind, name) for name in wanted)


def test_it_is_refused_in_another_room() -> None:
    with pytest.raises(ConfigError, match="is not allowed in gate"):
        workers.build("gate", {"_target_": "fdpipe.testing.passes.FakePass"})


def test_a_plan_of_fakes_can_be_written_down() -> None:
    assert Plan.from_json(fake_plan().to_json()) == fake_plan()
