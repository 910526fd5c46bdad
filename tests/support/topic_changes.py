"""Changes to a topic under a running system: its configuration, its records, the topic itself."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from tests.support.pipeline import await_condition

SECONDS = 30

REFUSE_ALL = {"max.message.bytes": "1"}
"""No record is small enough. (`min.insync.replicas` above the replicas does not do it: the broker takes the lesser.)"""


def configure(bootstrap: str, topic: str, config: Mapping[str, str]) -> None:
    """Set these entries and leave all others; return once the broker tells the new values."""
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    changed = admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)])
    for future in changed.values():
        future.result(SECONDS)

    def told() -> bool:
        [answer] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        found = answer.result(SECONDS)
        return all(found[name].value == value for name, value in config.items())

    await_condition(told, f"{topic} has {dict(config)}", seconds=SECONDS)


def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic and return once it is gone."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([topic])[topic].result(SECONDS)
    await_condition(lambda: topic not in admin.list_topics(timeout=SECONDS).topics, f"{topic} is gone", seconds=SECONDS)


def delete_records(bootstrap: str, topic: str, before: Mapping[int, int]) -> None:
    """Take the records before an offset out of partitions, as retention does."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    taken = admin.delete_records([TopicPartition(topic, partition, offset) for partition, offset in before.items()])
    for future in taken.values():
        future.result(SECONDS)


def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """Return the offset that a group committed of each partition, those left out that have none."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    try:
        found = asked[group].result(SECONDS).topic_partitions
    except KafkaException:  # there is no such group yet
        return {}
    return {each.partition: each.offset for each in found if each.topic == topic and each.offset >= 0}


def ends(bootstrap: str, topic: str) -> dict[int, int]:
    """Return the end of each partition's log."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "tests", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=SECONDS)[1]
            for number in partitions
        }
    finally:
        consumer.close()


def forget_groups(bootstrap: str, groups: Sequence[str]) -> None:
    """Delete consumer groups without members, with all that they committed."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.delete_consumer_groups(list(groups)).values():
        future.result(SECONDS)
