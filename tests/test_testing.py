"""There is a fake for every room, and each is a worker like any other."""

from typing import Any

import pytest

from fdpipe import testing, workers
from fdpipe.errors import ConfigError
from fdpipe.plan import Plan
from fdpipe.rehearsal import fake_plan

FAKES = [kind for name, kind in vars(testing).items() if name.startswith("Fake") and hasattr(kind, "room")]


def test_every_room_has_one() -> None:
    assert {kind.room for kind in FAKES} == set(workers.ROOMS)


@pytest.mark.parametrize("kind", FAKES)
def test_it_can_be_written_down_and_made_again(kind: Any) -> None:  # noqa: ANN401 - any fake
    worker = kind()
    assert workers.room_of(worker) == kind.room
    assert workers.build(kind.room, workers.describe(worker)) == worker


@pytest.mark.parametrize("kind", FAKES)
def test_it_has_every_method_of_its_protocol(kind: Any) -> None:  # noqa: ANN401 - any fake
    wanted = {name for name in vars(workers.ROOMS[kind.room]) if not name.startswith("_")}
    assert all(hasattr(kind, name) for name in wanted)


def test_it_is_refused_in_another_room() -> None:
    with pytest.raises(ConfigError, match="is no worker"):
        workers.build("gate", {"_target_": "fdpipe.testing.FakePass"})


def test_a_plan_of_fakes_can_be_written_down() -> None:
    assert Plan.from_json(fake_plan().to_json()) == fake_plan()
