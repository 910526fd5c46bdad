"""What an operator may do to a topic; each returns when the broker shows it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.kafka import make_admin
from services.settings import Settings
from services.topic_plan import topic_plans
from services.topics import check, create_missing, ends_of
from tests.support.pipeline import await_condition

SECONDS = 20


def raise_partitions(settings: Settings, topic: str, total: int) -> None:
    async def ask() -> None:
        async with _admin(settings) as admin:
            await admin.create_partitions({topic: NewPartitions(total)})

    asyncio.run(ask())
    await_condition(lambda: _partitions(settings, topic) == total, f"{topic} has {total} partitions", seconds=SECONDS)


def set_policy(settings: Settings, topic: str, policy: str) -> None:
    """Set a topic's `cleanup.policy`; everything else is as planned."""
    plan = next(plan for plan in topic_plans(settings) if plan.name == topic)

    async def ask() -> None:
        configs = {**plan.config, "cleanup.policy": policy}
        async with _admin(settings) as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])

    def is_set() -> bool:
        differences = {row.key: row.found for row in asyncio.run(check(settings)) if row.topic == topic}
        return differences.get("cleanup.policy", plan.config["cleanup.policy"]) == policy

    asyncio.run(ask())
    await_condition(is_set, f"{topic} has the policy {policy}", seconds=SECONDS)


def recreate(settings: Settings, topic: str) -> None:
    """Delete a topic and make it again as planned: its offsets begin at 0."""

    async def delete() -> None:
        async with _admin(settings) as admin:
            await admin.delete_topics([topic])

    asyncio.run(delete())
    await_condition(lambda: not _partitions(settings, topic), f"{topic} is deleted", seconds=SECONDS)
    asyncio.run(create_missing(settings))


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = make_admin(settings.kafka)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _partitions(settings: Settings, topic: str) -> int:
    return len(asyncio.run(ends_of(settings, topic)).get(topic, ()))
