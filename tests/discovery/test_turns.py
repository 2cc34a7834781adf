"""The specification of `netra_node.discovery.turns`."""

import asyncio

from netra_node.discovery.turns import Turns


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def others_run_during(pause: Turns) -> bool:
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    await pause.pause()
    return bool(ran)


async def test_a_short_turn_goes_on() -> None:
    clock = Clock()
    turns = Turns(clock)
    clock.now = 0.0002

    assert not await others_run_during(turns)


async def test_after_a_third_of_a_millisecond_others_run() -> None:
    clock = Clock()
    turns = Turns(clock)
    clock.now = 0.0003

    assert await others_run_during(turns)


async def test_then_a_new_turn_begins() -> None:
    clock = Clock()
    turns = Turns(clock)
    clock.now = 0.0003
    await turns.pause()

    assert not await others_run_during(turns)
