"""What the monitors are told, and when."""

import asyncio

from fdpipe.serving.call import Call
from fdpipe.serving.figures import EVERY_S, Figures
from tests.serving.test_application import Seen


def test_a_request_under_way_is_told_before_it_has_ended() -> None:
    async def inside() -> None:
        seen = Seen()
        figures = Figures([seen])
        figures.begin()
        while seen.in_flight != 1:
            await asyncio.sleep(EVERY_S / 2)
        assert seen.exchanges == []
        figures.end(Call("test", 0.0, status=200))
        while seen.in_flight != 0:
            await asyncio.sleep(EVERY_S / 2)
        assert [one.status for one in seen.exchanges] == [200]

    asyncio.run(asyncio.wait_for(inside(), 10))
