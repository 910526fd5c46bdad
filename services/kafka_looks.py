"""Looks at the logs as an operator does: where they end, since when the next record waits, and who reads them.

The clients stay open from look to look, so that a look costs a few requests; one that fails closes them, and the next
one begins anew. No consumer group is joined and nothing is committed: looking changes nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from services.clock import monotonic_s
from services.group_members import GroupMembers, Member, Source, group_members
from services.kafka import KafkaRefused, KafkaUnavailable, make_admin, make_consumer, translated
from services.lag_looks import Logs
from services.settings import KafkaSettings

LOOK_LIMIT_S: Final = 3.0
"""For all of one look; a broker that takes longer is called away."""

_TOPICS_AGE_S: Final = 60.0
"""After which it is asked anew which partitions there are: on a large cluster that answer is long."""

_FETCH_LIMIT_S: Final = 1.0
_FETCH_WAIT_MS: Final = 20
_FETCH_BYTES: Final = 16_384
"""Of one partition. One record is wanted; a batch that is larger comes whole, one partition a fetch."""

_CLOSE_LIMIT_S: Final = 1.0
_CLIENT: Final = "tidemark-lag"


class LogsLooker:
    """Looks at some topics and groups of one deployment. Not for several tasks at once."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], groups: Sequence[str], *, limit_s: float = LOOK_LIMIT_S
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._groups = groups
        self._limit_s = limit_s
        self._admin: AIOKafkaAdminClient | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: Sequence[TopicPartition] = ()
        self._partitions_until_s = 0.0

    async def look(self, positions: Mapping[Source, int]) -> Logs:
        """Look once.

        Args:
            positions: offset of the next record that is not applied, where that is known.

        Raises:
            KafkaUnavailable, KafkaRefused: the ends cannot be had, within the limit.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                with translated("looking at the logs"):
                    return await self._look(positions)
        except TimeoutError as error:
            await self.close()
            raise KafkaUnavailable(f"looking at the logs: no answer within {self._limit_s:g} s") from error
        except (KafkaUnavailable, KafkaRefused, asyncio.CancelledError):
            await self.close()
            raise
        except Exception as error:
            await self.close()
            raise KafkaUnavailable(f"looking at the logs: {error!r}") from error

    async def close(self) -> None:
        """Close the clients; the next look opens them again."""
        consumer, admin = self._consumer, self._admin
        self._consumer = self._admin = None
        self._partitions_until_s = 0.0
        for client in (consumer and consumer.stop(), admin and admin.close()):
            if client is not None:
                with suppress(KafkaError, TimeoutError, OSError):
                    async with asyncio.timeout(_CLOSE_LIMIT_S):
                        await client

    async def _look(self, positions: Mapping[Source, int]) -> Logs:
        admin, consumer = await self._clients()
        partitions = await self._known_partitions(admin)
        groups = await self._described(admin)
        if not partitions:
            return Logs(ends={}, groups=groups)
        ends = await consumer.end_offsets(partitions)
        begins = {each: positions.get(each, end) for each, end in ends.items()}
        consumer.assign(partitions)
        try:
            marks, first = await _fetched(consumer, begins)
        finally:
            consumer.unsubscribe()
        return Logs(
            # The embedded broker's answer to "where is the end" falls short; its fetches tell the truth.
            ends={(each.topic, each.partition): max(end, marks.get(each, 0)) for each, end in ends.items()},
            waiting_since_ms={
                source: time_ms
                for each, time_ms in first.items()
                if (source := (each.topic, each.partition)) in positions
            },
            groups=groups,
        )

    async def _clients(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        if self._admin is None or self._consumer is None:
            self._admin = make_admin(self._settings)
            await self._admin.start()
            self._consumer = make_consumer(
                self._settings,
                client_id=_CLIENT,
                fetch_max_wait_ms=_FETCH_WAIT_MS,
                max_partition_fetch_bytes=_FETCH_BYTES,
            )
            await self._consumer.start()
        return self._admin, self._consumer

    async def _known_partitions(self, admin: AIOKafkaAdminClient) -> Sequence[TopicPartition]:
        """Return the partitions of the topics that exist. Asked for by name, some brokers would create the others."""
        if monotonic_s() >= self._partitions_until_s:
            found = [row for row in await admin.describe_topics() if row["topic"] in self._topics]
            self._partitions = [
                TopicPartition(row["topic"], each["partition"])
                for row in found
                if not row["error_code"]
                for each in row["partitions"]
            ]
            complete = len(found) == len(self._topics)
            self._partitions_until_s = monotonic_s() + _TOPICS_AGE_S if complete else 0.0
        return self._partitions

    async def _described(self, admin: AIOKafkaAdminClient) -> Mapping[str, GroupMembers]:
        """Return what the broker says of the groups; the owners of one that it says nothing of are unknown."""
        described: dict[str, GroupMembers] = {}
        for name in self._groups:
            # No coordinator yet, or no right to ask: the ends can be had all the same.
            with suppress(KafkaError, ValueError):
                if (members := await _describe(admin, name)) is not None:
                    described[name] = members
        return described


async def _describe(admin: AIOKafkaAdminClient, name: str) -> GroupMembers | None:
    """Return a group's members, None where the broker answers with an error."""
    # One a request: aiokafka reads the second group of an answer wrongly.
    (answer,) = await admin.describe_consumer_groups([name])
    (error_code, _, state, _, _, members, *_) = answer.groups[0]
    return None if error_code else group_members(state, map(_member, members))


def _member(row: Sequence[Any]) -> Member:
    _, client_id, host, _, assignment, *_ = row
    if not assignment:
        return Member(client_id=client_id, host=host, partitions=None)
    given = ConsumerProtocolMemberAssignment.decode(assignment).partitions()
    return Member(client_id=client_id, host=host, partitions=tuple((each.topic, each.partition) for each in given))


async def _fetched(
    consumer: AIOKafkaConsumer, begins: Mapping[TopicPartition, int]
) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
    """Return each partition's high watermark, and the time of the first record from where it begins, if any."""
    for partition, offset in begins.items():
        consumer.seek(partition, offset)
    first: dict[TopicPartition, int] = {}
    passed = set[TopicPartition]()
    deadline_s = monotonic_s() + _FETCH_LIMIT_S
    while True:
        marks = {each: mark for each in begins if (mark := consumer.highwater(each)) is not None}
        pending = [
            each for each, begin in begins.items() if each not in passed and (each not in marks or marks[each] > begin)
        ]
        if not pending or monotonic_s() > deadline_s:
            return marks, first
        # One record of one partition: all that comes with it stays with the client until it is unsubscribed.
        # What was passed is fetched no further: it would take the place of those whose batches come one a fetch.
        batches = await consumer.getmany(*pending, timeout_ms=_FETCH_WAIT_MS, max_records=1)
        for partition, (record, *_) in batches.items():
            passed.add(partition)
            consumer.pause(partition)
            # A log that is shorter than what was applied is read from its beginning: that says nothing.
            if record.offset >= begins[partition]:
                first[partition] = record.timestamp
