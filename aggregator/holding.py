"""What becomes of a worker that ends by a bug on a frame: the crash is counted; after too many, it stays down.

ADR 0014. It lives on outside the group, so that nobody starts it again and its metrics tell what it is down for.
"""

import asyncio
import sys
import traceback
from pathlib import Path
from typing import Final

import structlog

from aggregator.applying import PartitionApplier
from aggregator.errors import FrameHeld
from aggregator.retrying import Retrying
from services.counters import CRASHES_MAX, CounterStore
from services.health import HealthServer
from services.lifecycle import Refused
from services.telemetry import Telemetry

LOOK_INTERVAL_S: Final = 2.0


def cause_of(error: BaseException) -> str:
    """Return the kind of an error and where it was raised: what two runs of one bug have in common."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} in {last.name} ({Path(last.filename).name}:{last.lineno})"


async def count_crash(
    store: CounterStore, retrying: Retrying, applier: PartitionApplier, error: BaseException
) -> BaseException:
    """Count a bug that ended an applier, and return what the worker ends with: the bug, or that the frame is held."""
    cause, (first, last) = cause_of(error), applier.trying
    epoch = applier.acknowledged.epoch
    crashes = await retrying(lambda: store.count_crash(applier.partition, epoch, first, last, cause))
    structlog.get_logger().error(
        "fold_crashed", partition=applier.partition, first=first, last=last, cause=cause, crashes=crashes
    )
    if crashes < CRASHES_MAX or first != last:
        return error
    held = FrameHeld(epoch, applier.partition, first, crashes=crashes, cause=cause)
    held.__cause__ = error
    return held


async def stay_down(
    held: FrameHeld,
    store: CounterStore,
    retrying: Retrying,
    telemetry: Telemetry,
    health: HealthServer,
    stop: asyncio.Event,
) -> None:
    """Wait for the stop, not ready and without partitions.

    Raises:
        Refused: the frame was passed: another run may go on.
    """
    health.not_ready("frame", str(held))
    telemetry.set("tidemark_held_frame", held.offset, partition=held.partition)
    structlog.get_logger().error("frame_held", partition=held.partition, offset=held.offset, exc_info=held.__cause__)
    sys.stderr.write(f"{held}\n")
    sys.stderr.flush()
    parts = [asyncio.create_task(_passed(held, store, retrying)), asyncio.create_task(stop.wait())]
    done, waiting = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    for part in waiting:
        part.cancel()
    for ended in done:
        ended.result()


async def _passed(held: FrameHeld, store: CounterStore, retrying: Retrying) -> None:
    while True:
        state = await retrying(lambda: store.state(held.partition))
        if state is None or (state.epoch, state.applied_offset + 1) != (held.epoch, held.offset):
            raise Refused(f"partition {held.partition} no longer waits for the frame at {held.offset}: starting anew")
        await asyncio.sleep(LOOK_INTERVAL_S)
