"""What each topic must look like, and how a found one differs. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from services.settings import Settings

MIB: Final = 1024 * 1024
KEEP_FOR_EVER: Final = "-1"
NOT_CHECKED: Final = "cannot be checked here"

_AT_LEAST: Final = frozenset({"retention.ms", "retention.bytes", "min.insync.replicas"})
"""Keys of which more than wanted is as good; -1 of a retention is more than any number."""

_SEVERAL: Final = 3
"""Replicas that each topic has as soon as there are as many brokers: one may be down and nothing is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPlan:
    """One topic as the settings want it.

    Attributes:
        partitions: when created.
        fixed: another partition count is a difference; else the count is the producers' choice.
        fatal: keys, `partitions` among them, in which a difference stops the aggregator's start.
        remedy: what to do about such a difference.
    """

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]
    fixed: bool = False
    fatal: frozenset[str] = frozenset()
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One topic as it is; `config` is None when the broker does not tell."""

    partitions: int
    replication: int
    config: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as wanted.

    Attributes:
        key: `topic`, `partitions`, `replication` or a configuration key of Kafka.
        found: `NOT_CHECKED` when the broker does not tell; this is no reason to fail.
        fatal: nothing may be applied while it stands.
    """

    topic: str
    key: str
    wanted: str
    found: str
    fatal: bool = False
    remedy: str = ""

    @property
    def known(self) -> bool:
        """Whether the broker told, so that this is really a difference."""
        return self.found != NOT_CHECKED

    def sentence(self) -> str:
        remedy = f": {self.remedy}" if self.remedy else ""
        if self.key == "topic":
            return f"topic {self.topic} is missing{remedy}"
        return f"topic {self.topic} has {self.key} {self.found}, but {self.wanted} is wanted{remedy}"


def topic_plans(settings: Settings) -> tuple[TopicPlan, ...]:
    """Return the four topics of design.md section 1 as the settings want them."""
    topics = settings.topics
    replication = topics.replication
    return (
        TopicPlan(
            name=topics.events,
            partitions=topics.events_partitions,
            replication=replication,
            config=_config(_ms(topics.events_retention), MIB, replication),
        ),
        TopicPlan(
            name=topics.directory,
            partitions=1,
            replication=replication,
            fixed=True,
            config=_config(KEEP_FOR_EVER, MIB, replication),
        ),
        TopicPlan(
            name=topics.frames,
            partitions=topics.frames_partitions,
            replication=replication,
            fixed=True,
            fatal=frozenset({"partitions", "cleanup.policy"}),
            remedy="P and the policy are fixed for a deployment; give topics.frames_partitions and topics.frames"
            " as the topic was made, or another topics.frames and an empty Redis",
            config=_config(_ms(topics.frames_retention), MIB, replication),
        ),
        TopicPlan(
            name=topics.dead_letters,
            partitions=topics.dead_letters_partitions,
            replication=replication,
            config=_config(_ms(topics.dead_letters_retention), 2 * MIB, replication),
        ),
    )


def compare(plan: TopicPlan, found: Found | None, *, brokers: int) -> Iterator[Difference]:
    """Yield each difference; a single missing-topic row when `found` is None.

    Args:
        brokers: how many the cluster has; from three on, three replicas are wanted whatever the settings say.
    """
    if found is None:
        remedy = "create it with `tidemark topics create`"
        yield Difference(topic=plan.name, key="topic", wanted="present", found="missing", fatal=True, remedy=remedy)
        return
    if plan.fixed and found.partitions != plan.partitions:
        yield _difference(plan, "partitions", str(plan.partitions), str(found.partitions))
    replicas = max(plan.replication, _SEVERAL if brokers >= _SEVERAL else 1)
    if found.replication < replicas:
        yield _difference(plan, "replication", f"{replicas} or more", str(found.replication))
    wanted = dict(plan.config)
    if replicas >= _SEVERAL:
        wanted["min.insync.replicas"] = "2"
    for key, value in wanted.items():
        actual = None if found.config is None else found.config.get(key)
        if actual is None:
            yield Difference(topic=plan.name, key=key, wanted=value, found=NOT_CHECKED)
        elif not _satisfied(key, value, actual):
            yield _difference(plan, key, value, actual)


def _difference(plan: TopicPlan, key: str, wanted: str, found: str) -> Difference:
    fatal = key in plan.fatal
    remedy = plan.remedy if fatal else ""
    return Difference(topic=plan.name, key=key, wanted=wanted, found=found, fatal=fatal, remedy=remedy)


def _satisfied(key: str, wanted: str, found: str) -> bool:
    if key not in _AT_LEAST:
        return found == wanted
    if KEEP_FOR_EVER in (wanted, found):
        return found == KEEP_FOR_EVER
    return int(found) >= int(wanted)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _config(retention_ms: str, max_bytes: int, replication: int) -> dict[str, str]:
    config = {
        "cleanup.policy": "delete",
        "retention.ms": retention_ms,
        "retention.bytes": KEEP_FOR_EVER,
        "max.message.bytes": str(max_bytes),
        "unclean.leader.election.enable": "false",
        # Ages are judged, and freshness is told, by the broker's clock: the producers' clocks are not trusted. Nor are
        # our workers': Kafka refuses a record from more than an hour ahead, and retention goes by the same times.
        "message.timestamp.type": "LogAppendTime",
    }
    if replication >= _SEVERAL:
        config["min.insync.replicas"] = "2"
    return config
