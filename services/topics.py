"""The four topics: what each must look like, created and checked; and where their logs end, and begin."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from services.clock import monotonic_s
from services.kafka import KafkaRefused, KafkaUnavailable, make_admin, make_consumer, translated
from services.settings import Settings
from services.topic_plan import Difference, Found, TopicPlan, compare, topic_plans

START_LIMIT_S: Final = 60.0
"""How long a start waits for Kafka, which may be starting too."""

_FETCH_WAIT_MS: Final = 20
_WATERMARK_LIMIT_S: Final = 5.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    brokers: int
    topics: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


async def create_missing(settings: Settings, *, within_s: float = START_LIMIT_S) -> list[str]:
    """Create the topics that are not there; return their names, in the order of design.md.

    Returns when every broker asked shows them all. An existing topic is left as it is: see `check`.

    Raises:
        KafkaUnavailable: Kafka did not answer within `within_s`.
        KafkaRefused: Kafka would not create one.
    """
    return await _when_kafka_answers(settings, lambda admin: _create_missing(admin, topic_plans(settings)), within_s)


async def check(settings: Settings, *, within_s: float = START_LIMIT_S) -> list[Difference]:
    """Return how the topics differ from the settings, what cannot be checked on this broker included.

    Raises:
        KafkaUnavailable: Kafka did not answer within `within_s`.
    """
    return await _when_kafka_answers(settings, lambda admin: _check(admin, topic_plans(settings)), within_s)


async def check_frames(settings: Settings, *, within_s: float = START_LIMIT_S) -> None:
    """Refuse a frames topic on which nothing may be applied: missing, another partition count, or compacted.

    Raises:
        KafkaRefused: one sentence that names the difference and the remedy.
        KafkaUnavailable: Kafka did not answer within `within_s`.
    """
    plan = next(plan for plan in topic_plans(settings) if plan.name == settings.topics.frames)
    differences = await _when_kafka_answers(settings, lambda admin: _check(admin, [plan]), within_s)
    fatal = [difference for difference in differences if difference.fatal]
    if fatal:
        raise KafkaRefused("; ".join(difference.sentence() for difference in fatal))


async def end_offsets(settings: Settings, topic: str) -> dict[int, int] | None:
    """Return each partition's end offset (of the next record), or None when the topic does not exist.

    Raises:
        KafkaUnavailable: Kafka does not answer.
    """
    return (await ends_of(settings, topic)).get(topic)


async def ends_of(settings: Settings, *names: str) -> dict[str, dict[int, int]]:
    """Return the end offsets of several topics, those left out that do not exist.

    A topic is never asked for by name before it is known to exist: brokers may create what is asked for.

    Raises:
        KafkaUnavailable: Kafka does not answer.
    """
    what = ", ".join(names)
    with _answering(f"looking for {what}"):
        async with _connected(settings) as admin:
            found = (await _describe(admin)).topics
    partitions = [TopicPartition(name, row["partition"]) for name in names for row in found.get(name, ())]
    if not partitions:
        return {}
    consumer = make_consumer(settings.kafka, fetch_max_wait_ms=_FETCH_WAIT_MS)
    with _answering(f"reading the end of {what}"):
        try:
            await consumer.start()
            ends = await consumer.end_offsets(partitions)
            # Only the embedded broker is used without idempotence, and only its answers fall short.
            watermarks = {} if settings.kafka.idempotence else await _high_watermarks(consumer, ends)
        finally:
            await consumer.stop()
    answer: dict[str, dict[int, int]] = {}
    for each, end in sorted(ends.items()):
        answer.setdefault(each.topic, {})[each.partition] = max(end, watermarks.get(each, 0))
    return answer


async def group_can_work(settings: Settings, group: str) -> None:
    """Return once every leader of the topics and the coordinator of a group have answered.

    Raises:
        KafkaUnavailable, KafkaRefused: one of them does not.
    """
    topics = settings.topics
    await ends_of(settings, topics.events, topics.directory, topics.frames)
    consumer = make_consumer(settings.kafka, group_id=group)
    partition = TopicPartition(topics.frames, 0)
    with _answering(f"asking the coordinator of {group}"):
        try:
            await consumer.start()
            consumer.assign([partition])
            await consumer.committed(partition)
        finally:
            await consumer.stop()


async def delete_before(settings: Settings, topic: str, offsets: Mapping[int, int]) -> dict[int, int]:
    """Delete the records of each partition that come before an offset; return where the logs begin now.

    Raises:
        KafkaUnavailable: Kafka does not answer.
        KafkaRefused: it does not delete records, or not of this topic.
    """
    cuts = {TopicPartition(topic, number): RecordsToDelete(before_offset=at) for number, at in offsets.items()}
    with _answering(f"deleting records of {topic}"):
        async with _connected(settings) as admin:
            try:
                begins = await admin.delete_records(cuts)
            except KafkaConnectionError as error:
                # It answered a moment ago. A request that it does not know, the embedded broker hangs up on.
                raise KafkaRefused(
                    f"the broker hung up when asked to delete records of {topic}: the embedded one cannot delete any;"
                    " on Apache Kafka, try again"
                ) from error
    return {each.partition: begin for each, begin in begins.items()}


async def _high_watermarks(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Return the high watermarks that a fetch at each end tells.

    The embedded broker's answer to "where is the end" counts the last batch as one record; its fetches tell the truth.
    """
    consumer.assign(list(ends))
    for partition, end in ends.items():
        consumer.seek(partition, end)
    deadline_s = monotonic_s() + _WATERMARK_LIMIT_S
    while True:
        known = {each: mark for each in ends if (mark := consumer.highwater(each)) is not None}
        if len(known) == len(ends) or monotonic_s() > deadline_s:
            return known
        await consumer.getmany(timeout_ms=_FETCH_WAIT_MS)


@contextmanager
def _answering(doing: str) -> Iterator[None]:
    """Translate the client's errors; the admin client lets a bare TimeoutError through."""
    try:
        with translated(doing):
            yield
    except TimeoutError as error:
        raise KafkaUnavailable(f"{doing}: no answer in time") from error


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = make_admin(settings.kafka)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _when_kafka_answers(
    settings: Settings, ask: Callable[[AIOKafkaAdminClient], Awaitable[Answer]], within_s: float
) -> Answer:
    """Ask, and ask again with growing pauses while Kafka is away, until `within_s` have passed."""
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(KafkaUnavailable),
        stop=stop_after_delay(within_s),
        wait=wait_exponential(multiplier=0.1, max=2.0),
        reraise=True,
    )
    try:
        async for attempt in attempts:
            with attempt, _answering("looking at the topics"):
                async with _connected(settings) as admin:
                    return await ask(admin)
    except KafkaUnavailable as error:
        address = settings.kafka.bootstrap_servers
        raise KafkaUnavailable(f"Kafka at {address} did not answer for {within_s:g} s: {error}") from error
    raise AssertionError("a retry ends with an answer or an error")


async def _create_missing(admin: AIOKafkaAdminClient, plans: Sequence[TopicPlan]) -> list[str]:
    cluster = await _describe(admin)
    missing = [plan for plan in plans if plan.name not in cluster.topics]
    if not missing:
        return []
    topics = [
        NewTopic(plan.name, plan.partitions, plan.replication, topic_configs=dict(plan.config)) for plan in missing
    ]
    response = await admin.create_topics(topics)
    for name, code, text in response.topic_errors:
        error = for_code(code)
        # Another process may have created it between the look and the call; that is what was wanted.
        if code and error is not TopicAlreadyExistsError:
            kind = KafkaUnavailable if getattr(error, "retriable", False) else KafkaRefused
            raise kind(f"Kafka would not create {name}: {error.__name__}: {text or error.description}")
    await _until_visible(admin, [plan.name for plan in missing])
    return [plan.name for plan in missing]


async def _until_visible(admin: AIOKafkaAdminClient, names: Sequence[str], attempts: int = 100) -> None:
    """Wait until the topics have leaders everywhere: a producer's first send would otherwise meet errors."""
    for _ in range(attempts):
        topics = (await _describe(admin)).topics
        if all(name in topics and all(row["leader"] >= 0 for row in topics[name]) for name in names):
            return
        await asyncio.sleep(0.1)
    raise KafkaUnavailable(f"created {', '.join(names)}, but they have no leaders yet")


async def _check(admin: AIOKafkaAdminClient, plans: Sequence[TopicPlan]) -> list[Difference]:
    cluster = await _describe(admin)
    differences: list[Difference] = []
    for plan in plans:
        found = None
        if plan.name in cluster.topics:
            rows = cluster.topics[plan.name]
            replication = min((len(set(row["replicas"])) for row in rows), default=0)
            config = await _config(admin, plan.name)
            found = Found(partitions=len(rows), replication=replication, config=config)
        differences.extend(compare(plan, found, brokers=cluster.brokers))
    return differences


async def _describe(admin: AIOKafkaAdminClient) -> _Cluster:
    """Return the brokers and all topics. Asked for by name, a missing topic would be created by some brokers."""
    topics = {row["topic"]: row["partitions"] for row in await admin.describe_topics() if not row["error_code"]}
    cluster = await admin.describe_cluster()
    if cluster["controller_id"] < 0:
        raise KafkaUnavailable("Kafka has no controller yet")
    return _Cluster(brokers=len(cluster["brokers"]), topics=topics)


async def _config(admin: AIOKafkaAdminClient, topic: str) -> Mapping[str, str] | None:
    """Return the topic's effective configuration; None when the broker does not say (not allowed, or cannot)."""
    try:
        # The key list stays empty: the embedded broker closes the connection on a request that names keys.
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    except KafkaError:
        return None
    for response in responses:
        for code, _, _, name, entries in response.resources:
            if not code and name == topic:
                return {entry[0]: entry[1] for entry in entries}
    return None
