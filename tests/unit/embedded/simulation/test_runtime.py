"""The event loop of a process in the world."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings

from embedded.simulation.plan import Plan
from embedded.simulation.runtime import VirtualLoop
from embedded.simulation.world import Process, World


def test_what_a_killed_process_has_not_begun_is_closed_though_its_loop_was_stopped() -> None:
    world, process = World(Plan(1, events={})), Process("service")

    async def ends_the_process() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            asyncio.get_running_loop().stop()

    async def is_asked() -> None:
        """Too late."""

    asked = is_asked()

    def killed() -> None:
        loop = VirtualLoop(world, process)
        task = loop.create_task(ends_the_process())
        loop.run_until_complete(asyncio.sleep(0.1))
        process.alive = False
        asyncio.run_coroutine_threadsafe(asked, loop)
        loop.end()
        assert task.cancelled()
        assert loop.is_closed()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        world.run(process, killed)
        assert inspect.getcoroutinestate(asked) == inspect.CORO_CLOSED
        gc.collect()
    assert not [warning for warning in said if warning.category is RuntimeWarning]
