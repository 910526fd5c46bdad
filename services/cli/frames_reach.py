"""`tidemark frames reach`: can this Redis, or a backup of it, be brought forward by the frames that are kept?"""

from collections.abc import Sequence
from typing import Any, Final

import typer

from services.cli.common import AsJson, StateFile, complain, run, settings_for, write_json, write_table
from services.counters import StoreRefused
from services.frames_reach import PartitionReach, Verdict
from services.kafka import KafkaRefused
from services.log_reader import ONE_BATCH, LogReader, Span, open_log
from services.settings import Settings
from services.stores import open_store, read_states
from services.topics import end_offsets
from services.windows import rfc3339

_COLUMNS: Final = ("partition", "applied", "waiting", "first kept", "kept since", "end", "kept until", "verdict")
_NO: Final = 1


def reach(state_file: StateFile = None, as_json: AsJson = False) -> None:
    """Say for each partition whether the frames reach back to what Redis has applied.

    Counters, dedup index and applied offset are one: a Redis that was restored is right as of the backup, and the
    frames behind its applied offsets bring it forward. So a backup is good for as long as these frames are kept
    (`topics.frames_retention`), **in every partition**. Ask before it is put in place: start a Redis on a copy of the
    backup, on another port, and name it in `TIDEMARK_REDIS__URL`. On the Redis in use, `kept since` says how old a
    backup may be. `kept until` is when the frame that is next is deleted at the earliest.

    Exit codes: 0 all reach; 1 one does not, with a sentence; 3 a server is away. Nothing is changed.

    Example: `TIDEMARK_REDIS__URL=redis://127.0.0.1:6400/0 tidemark frames reach`
    """
    settings = settings_for(state_file)
    rows = run(_reaches(settings))
    shown = [_members(row, settings) for row in rows]
    if as_json:
        write_json(shown)
    else:
        # A time that is not there is none, rather than unknown: nothing is kept, or nothing waits.
        cells = [["-" if value is None else value for value in row.values()] for row in shown]
        write_table(settings.topics.frames, _COLUMNS, cells)
    wrong = [row.sentence() for row in rows if row.verdict is not Verdict.REACHES]
    for sentence in wrong:
        complain(sentence)
    if wrong:
        raise typer.Exit(_NO)


async def _reaches(settings: Settings) -> list[PartitionReach]:
    topic, partitions = settings.topics.frames, settings.topics.frames_partitions
    async with open_store(settings) as store:
        states = await read_states(store, partitions)
    if other := next((state for state in states if state is not None and state.partitions != partitions), None):
        raise StoreRefused(
            f"the counters were made with {other.partitions} partitions of {topic}, the settings say {partitions}:"
            " give topics.frames_partitions as the backup's deployment had it"
        )
    ends = await end_offsets(settings, topic)
    if ends is None or len(ends) != partitions:
        found = "does not exist" if ends is None else f"has {len(ends)} partitions, not {partitions}"
        raise KafkaRefused(f"{topic} {found}: name the deployment's own topic in topics.frames")
    async with open_log(settings, ONE_BATCH) as log:
        begins = await log.begins(topic, range(partitions))
        rows = [
            PartitionReach(
                partition=number,
                applied=None if state is None else int(state.applied_offset),
                first=begins[number],
                end=max(ends[number], begins[number]),
            )
            for number, state in enumerate(states)
        ]
        return await _with_times(log, topic, rows)


async def _with_times(log: LogReader, topic: str, rows: Sequence[PartitionReach]) -> list[PartitionReach]:
    firsts = await log.first_times([Span(topic=topic, partition=r.partition, begin=r.first, end=r.end) for r in rows])
    reached = [row for row in rows if row.verdict is Verdict.REACHES]
    nexts = await log.first_times(
        [Span(topic=topic, partition=r.partition, begin=r.next_offset, end=r.end) for r in reached]
    )
    return [
        PartitionReach(
            partition=row.partition,
            applied=row.applied,
            first=row.first,
            end=row.end,
            first_ms=firsts.get((topic, row.partition)),
            next_ms=nexts.get((topic, row.partition)),
        )
        for row in rows
    ]


def _members(row: PartitionReach, settings: Settings) -> dict[str, Any]:
    def told(instant_ms: int | None) -> str | None:
        return None if instant_ms is None else rfc3339(instant_ms)

    return {
        "partition": row.partition,
        "applied": row.applied,
        "waiting": row.waiting,
        "firstKept": row.first,
        "keptSince": told(row.first_ms),
        "end": row.end,
        "keptUntil": told(row.until_ms(settings.topics.frames_retention)),
        "verdict": row.verdict.value,
    }
