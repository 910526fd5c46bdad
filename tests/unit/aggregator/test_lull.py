"""A fold begins once no more frames are about to come, and begins though they never end."""

import asyncio

from aggregator.lull import QUIET_TURNS, TURNS_MAX, Lull


async def _come(lull: Lull, frames: int, turns: int) -> int:
    """Let frames come, one in so many turns; return how many came before the lull."""
    waiting = asyncio.create_task(lull.wait())
    for number in range(frames):
        if waiting.done():
            return number
        lull.frame_came()
        for _ in range(turns):
            await asyncio.sleep(0)
    await waiting
    return frames


async def test_frames_that_follow_each_other_are_waited_for() -> None:
    assert await _come(Lull(), 50, turns=QUIET_TURNS - 2) == 50


async def test_a_gap_ends_the_wait() -> None:
    assert await _come(Lull(), 50, turns=QUIET_TURNS + 2) == 1


async def test_frames_without_end_are_not_waited_for_without_end() -> None:
    assert await _come(Lull(), 10 * TURNS_MAX, turns=1) < 2 * TURNS_MAX
