"""Who is let in, and how often that is asked."""

from dataclasses import dataclass

from fdpipe.serving.door import Door
from fdpipe.serving.refusal import Refusal


@dataclass
class Guard:
    """Refuses while it is `full`."""

    retry_after_s: float
    full: bool = True
    asked: int = 0

    def __call__(self, deadline: float) -> None:
        self.asked += 1
        if self.full:
            raise Refusal("full", status=503, retry_after_s=self.retry_after_s)


def test_a_long_line_is_not_counted_again_at_once() -> None:
    guard = Guard(retry_after_s=1e9)
    door = Door(guard)
    told = {id(door.refusal(1.0)) for _ in range(3)}
    assert len(told) == guard.asked <= 2  # two, should this take longer than such a refusal is kept


def test_a_line_that_is_soon_gone_is_counted_each_time() -> None:
    guard = Guard(retry_after_s=0.0)
    door = Door(guard)
    assert door.refusal(1.0) is not None
    guard.full = False
    assert door.refusal(1.0) is None
    assert guard.asked == 2
