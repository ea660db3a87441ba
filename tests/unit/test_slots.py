"""How many runs work at once, and who comes next."""

import asyncio

from core.engine.slots import Slots


async def test_who_wants_to_go_on_comes_before_who_has_not_begun() -> None:
    slots = Slots(1)
    slots.take("a")
    waiting = asyncio.ensure_future(slots.have("b"))
    await asyncio.sleep(0)
    slots.give_back("a")
    await waiting
    assert slots.free == 0
    slots.give_back("b")
    assert slots.free == 1


async def test_slots_are_given_first_come_first_served() -> None:
    slots = Slots(1)
    slots.take("a")
    order: list[str] = []

    async def work(uid: str) -> None:
        await slots.have(uid)
        order.append(uid)
        slots.give_back(uid)

    workers = [asyncio.ensure_future(work(uid)) for uid in ("b", "c", "d")]
    await asyncio.sleep(0)
    assert order == []
    slots.give_back("a")
    await asyncio.gather(*workers)
    assert order == ["b", "c", "d"]


async def test_a_cancelled_waiter_takes_no_slot_with_it() -> None:
    slots = Slots(1)
    slots.take("a")
    waiting = asyncio.ensure_future(slots.have("b"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    slots.give_back("a")
    assert slots.free == 1


async def test_one_cancelled_in_the_moment_it_got_its_slot_gives_it_back() -> None:
    slots = Slots(1)
    slots.take("a")
    waiting = asyncio.ensure_future(slots.have("b"))
    await asyncio.sleep(0)
    slots.give_back("a")
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert slots.free == 1


def test_what_runs_already_is_not_asked_whether_there_is_room() -> None:
    slots = Slots(1)
    for uid in ("a", "b"):
        slots.take(uid)
    assert slots.free == 0
    slots.give_back("a")
    assert slots.free == 0
    slots.give_back("b")
    assert slots.free == 1
