"""A directory's history goes through processes that are killed amid it, and every figure is the oracle's."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from services.clock import now_ms
from services.windows import rfc3339
from tests.support.directory_history import KINDS, Publisher, kinds_in
from tests.support.directory_questions import Month, difference, figures, months_between, questions
from tests.support.paced_publishing import PacedPublishing
from tests.support.pipeline import PipelineUnderTest, await_condition, running_pipeline
from tests.support.servers import Broker
from tests.support.told import Counted, Told, with_usage

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

SEED = 4
CHANGES = 6_000
SECONDS_TO_PUBLISH = 75
"""Three kills take a third of it where nothing else runs, most of that sessions that end and pauses before a start."""

RECOVERY_SECONDS = 40
NOBODY = "never heard of"
ASKED_EVERYTHING = 4
"""Organizations about which every question is asked, not those about figures only."""


@pytest.fixture(scope="module")
def told() -> list[Told]:
    random = Random(SEED)
    publisher = Publisher(random, organizations=24, persons=60, teams=6, groups=8)
    # A blank line is not published.
    lines = [line for line in publisher.history(CHANGES) if line]
    kinds = kinds_in(lines)
    assert min(kinds[kind] for kind in KINDS) > 20
    return list(with_usage(publisher, lines, random, 0.8))


@pytest.mark.timeout(300)
def test_killed_processes_change_no_figure_of_the_directory(
    told: list[Told], tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    counted = Counted()
    counted.tell(told)
    with ExitStack() as stack:
        options = ("--max-event-age", "none")
        pipeline = stack.enter_context(running_pipeline(tmp_path, kafka.bootstrap, redis_url, *options))
        published = [stack.enter_context(publishing(pipeline, told, topic)) for topic in ("directory", "events")]
        for role in ("ingest", "aggregator", "ingest"):
            kill_amid_work(pipeline, role)
        assert all(each.goes_on for each in published), "the last kill came after the end of publishing"
        for each in published:
            each.finish()
        number = {topic: sum(1 for of, _ in told if of == topic) for topic in ("directory", "events")}
        await_condition(
            lambda: {topic: pipeline.applied(topic) for topic in number} == number, "all of it is applied", seconds=60
        )
        found = differences(pipeline, counted)
        assert found == [], f"{len(found)} answers differ: {found[:5]}\n{pipeline.log()}"


def publishing(pipeline: PipelineUnderTest, told: list[Told], topic: str) -> PacedPublishing:
    """Publish one topic's lines in their order, evenly over some seconds or until it is to finish."""
    lines = [line for of, line in told if of == topic]
    return PacedPublishing(pipeline, lines, "--topic", pipeline.topics[topic], rate=len(lines) / SECONDS_TO_PUBLISH)


def kill_amid_work(pipeline: PipelineUnderTest, role: str) -> None:
    """SIGKILL a role's only process once directory events are applied, and wait until what follows it applies more."""
    before = pipeline.applied("directory")
    await_condition(
        lambda: pipeline.applied("directory") > before, f"work before {role} is killed", seconds=RECOVERY_SECONDS
    )
    [pid] = pipeline.pids(role)
    os.kill(pid, signal.SIGKILL)
    killed_at = pipeline.applied("directory")
    await_condition(
        lambda: pipeline.pids(role) not in ([pid], []) and pipeline.applied("directory") > killed_at,
        f"{role} is started again and works",
        seconds=RECOVERY_SECONDS,
    )


def differences(pipeline: PipelineUnderTest, counted: Counted) -> list[str]:
    """Ask for the figures of every organization that an event has named or none has, and of some for everything."""
    asked_ms = now_ms()
    months = months_between((2023, 10), month_of(asked_ms))
    found = []
    for number, organization in enumerate([*counted.directory.organizations_named(), NOBODY]):
        ask = questions if number < ASKED_EVERYTHING else figures
        with pipeline.client(organization) as client:
            for question in ask(counted.directory, organization, months, counted.active(organization, asked_ms)):
                answer = client.get(question.path, params=question.parameters, headers=question.headers)
                said = answer.json() if answer.status_code == 200 else None
                if (sentence := difference(question, answer.status_code, said)) is not None:
                    found.append(sentence)
    return found


def month_of(instant_ms: int) -> Month:
    text = rfc3339(instant_ms)
    return int(text[:4]), int(text[5:7])
