"""`tidemark lag`: how far the counters are behind, in records."""

from collections.abc import Mapping
from dataclasses import asdict

from services import topics
from services.cli.common import AsJson, StateFile, complain, run, settings_for, write_json, write_table
from services.counters import StoreUnavailable
from services.kafka import KafkaUnavailable
from services.lag import Lag, States, frame_lags, source_lags
from services.settings import Settings
from services.stores import open_store, read_states


def lag(state_file: StateFile = None, as_json: AsJson = False) -> None:
    """Print for each topic, partition and role: end, applied, and the lag between them, in records.

    `applied` is what the counters hold, not what a consumer group has committed: everything before that offset is
    counted, or is a dead letter. What is not known is `unknown`, null in JSON, never 0.

    Example: `tidemark lag --json --state-file tidemark.json | jq '[.[].lag] | add'`
    """
    rows = run(_lags(settings_for(state_file)))
    if as_json:
        write_json([asdict(row) for row in rows])
        return
    columns = ("topic", "partition", "role", "end", "applied", "lag")
    cells = [(row.topic, row.partition, row.role, row.end, row.applied, row.lag) for row in rows]
    write_table("Lag, in records", columns, cells)


async def _lags(settings: Settings) -> list[Lag]:
    events, directory, frames = settings.topics.events, settings.topics.directory, settings.topics.frames
    # Ends first: what is applied while we look must not look like a lag below zero.
    ends = await _ends(settings, events, directory, frames)
    states = await _states(settings)
    sources = [row for topic in (events, directory) for row in source_lags(topic, ends.get(topic), states)]
    return sources + frame_lags(frames, ends.get(frames), states)


async def _ends(settings: Settings, *names: str) -> Mapping[str, Mapping[int, int]]:
    try:
        return await topics.ends_of(settings, *names)
    except KafkaUnavailable as error:
        complain(f"the ends are unknown: {error}")
        return {}


async def _states(settings: Settings) -> States:
    partitions = settings.topics.frames_partitions
    try:
        async with open_store(settings) as store:
            return await read_states(store, partitions)
    except StoreUnavailable as error:
        complain(f"what is applied is unknown: {error}")
        return [None] * partitions
