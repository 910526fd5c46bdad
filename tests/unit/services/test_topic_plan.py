import pytest

from services.settings_loading import load_settings
from services.topic_plan import MIB, NOT_CHECKED, Difference, Found, TopicPlan, compare, topic_plans

pytestmark = pytest.mark.unit


def plans(**topics: object) -> dict[str, TopicPlan]:
    return {plan.name: plan for plan in topic_plans(load_settings({"topics": topics}))}


def as_planned(plan: TopicPlan, *, replication: int | None = None, **config: str) -> Found:
    changed = {key.replace("__", "."): value for key, value in config.items()}
    return Found(
        partitions=plan.partitions,
        replication=plan.replication if replication is None else replication,
        config={**plan.config, **changed},
    )


def differences(plan: TopicPlan, found: Found | None, brokers: int = 1) -> list[Difference]:
    return list(compare(plan, found, brokers=brokers))


def test_the_four_topics_are_as_the_design_says() -> None:
    by_name = plans()
    assert list(by_name) == ["usage.events", "usage.directory", "usage.frames", "usage.dead-letters"]
    assert [plan.partitions for plan in by_name.values()] == [4, 1, 16, 4]
    assert {plan.config["cleanup.policy"] for plan in by_name.values()} == {"delete"}
    days = [int(plan.config["retention.ms"]) / 86_400_000 for plan in by_name.values()]
    assert days[:1] + days[2:] == [35, 35, 90]
    assert by_name["usage.directory"].config["retention.ms"] == "-1"
    sizes = [int(plan.config["max.message.bytes"]) // MIB for plan in by_name.values()]
    assert sizes == [1, 1, 1, 2]
    assert {plan.config["message.timestamp.type"] for plan in by_name.values()} == {"LogAppendTime"}


def test_topics_with_three_replicas_need_two_in_sync() -> None:
    assert all(plan.config["min.insync.replicas"] == "2" for plan in plans(replication=3).values())
    assert all("min.insync.replicas" not in plan.config for plan in plans(replication=1).values())


def test_a_topic_as_planned_does_not_differ() -> None:
    assert not any(differences(plan, as_planned(plan)) for plan in plans().values())


def test_a_missing_topic_is_one_fatal_difference_with_its_remedy() -> None:
    (row,) = differences(plans()["usage.frames"], None)
    assert row.fatal
    assert row.sentence() == "topic usage.frames is missing: create it with `tidemark topics create`"


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_compacted_frames_are_fatal(policy: str) -> None:
    plan = plans()["usage.frames"]
    (row,) = differences(plan, as_planned(plan, cleanup__policy=policy))
    assert (row.key, row.found, row.fatal) == ("cleanup.policy", policy, True)


def test_another_partition_count_is_fatal_for_frames_and_the_producers_choice_for_events() -> None:
    found = Found(partitions=8, replication=1, config=None)
    by_name = plans()
    assert [row.key for row in differences(by_name["usage.frames"], found) if row.fatal] == ["partitions"]
    assert not [row for row in differences(by_name["usage.events"], found) if row.key == "partitions"]


@pytest.mark.parametrize(("retention", "differs"), [("-1", False), ("9999999999999", False), ("1000", True)])
def test_keeping_longer_is_as_good_and_shorter_is_not(retention: str, differs: bool) -> None:
    plan = plans()["usage.frames"]
    assert bool(differences(plan, as_planned(plan, retention__ms=retention))) == differs


def test_the_directory_must_be_kept_for_ever() -> None:
    plan = plans()["usage.directory"]
    (row,) = differences(plan, as_planned(plan, retention__ms="9999999999999"))
    assert row.key == "retention.ms"


def test_three_brokers_want_three_replicas_whatever_the_settings_say() -> None:
    plan = plans(replication=1)["usage.events"]
    keys = {row.key for row in differences(plan, as_planned(plan, min__insync__replicas="1"), brokers=3)}
    assert keys == {"replication", "min.insync.replicas"}
    better = as_planned(plan, replication=3, min__insync__replicas="2")
    assert not differences(plan, better, brokers=3)


def test_what_the_broker_does_not_tell_is_listed_and_no_known_difference() -> None:
    plan = plans()["usage.events"]
    rows = differences(plan, Found(partitions=4, replication=1, config=None))
    assert {row.found for row in rows} == {NOT_CHECKED}
    assert not any(row.known or row.fatal for row in rows)
