"""Random histories through ingest's packing and the aggregator's fold, asked through the API, beside the oracle."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.settings import TopicSettings
from tests.support.api_in_process import NOW_MS, PARTITIONS, SETTINGS, Api, api_over, bearer
from tests.support.directory_history import KINDS, Publisher, kinds_in
from tests.support.directory_oracle import DirectoryOracle
from tests.support.directory_questions import Month, Question, difference, figures, months_between, questions
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import DIRECTORY, TopicReader
from tests.support.told import Counted, Told, with_usage

MONTHS = months_between((2023, 10), (2026, 9))
NOBODY = "never heard of"
HISTORY_SETTINGS = SETTINGS.model_copy(
    update={"topics": TopicSettings(frames_partitions=PARTITIONS, events="events", directory=DIRECTORY)}
)
Asked = Callable[[DirectoryOracle, str, Sequence[Month], Mapping[Month, int]], Iterator[Question]]
sizes = st.lists(st.integers(1, 9), max_size=6)


async def differences(api: Api, told: Counted, asked: Asked) -> list[str]:
    """Ask about every organization that an event has named, and about one that none has."""
    found = []
    for organization in [*told.directory.organizations_named(), NOBODY]:
        for question in asked(told.directory, organization, MONTHS, told.active(organization, NOW_MS)):
            answer = await api.get(question.path, question.parameters, bearer(organization) | question.headers)
            said = answer.json() if answer.status_code == 200 else None
            if (sentence := difference(question, answer.status_code, said)) is not None:
                found.append(sentence)
    return found


async def lived_through(
    pairs: Sequence[Told],
    poll_sizes: Sequence[int],
    run_sizes: Sequence[int],
    stops: int,
    asked: Asked = questions,
) -> list[str]:
    """Return what the API answered wrongly at any of some stops on the way through a history, the last at its end."""
    store, reader, told = await begun(PARTITIONS), TopicReader(PARTITIONS, first_ms=NOW_MS), Counted()
    async with api_over(store, HISTORY_SETTINGS) as api:
        for stop in range(stops):
            part = pairs[len(pairs) * stop // stops : len(pairs) * (stop + 1) // stops]
            await fold_logs(store, reader.read_all(part, poll_sizes), run_sizes)
            told.tell(part)
            if found := await differences(api, told, asked):
                return found
    return []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), sizes, sizes, st.integers(1, 3))
async def test_utilization_and_quota_are_the_oracles_whatever_the_history(
    seed: int, steps: int, poll_sizes: list[int], run_sizes: list[int], stops: int
) -> None:
    random = Random(seed)
    publisher = Publisher(random, organizations=3, persons=4, teams=2, groups=2)
    lines = publisher.history(steps)
    for kind in kinds_in(lines):
        event(kind)
    pairs = list(with_usage(publisher, lines, random, 0.3))
    assert await lived_through(pairs, poll_sizes, run_sizes, stops, figures) == []


LONG = range(3)


def long_history(seed: int) -> list[Told]:
    random = Random(seed)
    publisher = Publisher(random, organizations=8, persons=9)
    return list(with_usage(publisher, publisher.history(600), random, 0.3))


@pytest.mark.parametrize("seed", LONG)
async def test_every_answer_is_the_oracles_in_a_long_history(seed: int) -> None:
    assert await lived_through(long_history(seed), [9] * 60, [1, 2, 3] * 9, 3) == []


def test_everything_happens_in_the_long_histories() -> None:
    histories = [[line for topic, line in long_history(seed) if topic == DIRECTORY] for seed in LONG]
    kinds = sum((kinds_in(lines) for lines in histories), Counter[str]())
    assert min(kinds[kind] for kind in KINDS) > 2
    shapes = sum((shapes_of(DirectoryOracle(lines)) for lines in histories), Counter[str]())
    assert min(shapes[shape] for shape in ("below", "root", "in or below a cycle")) > 2


async def test_a_chain_of_organizations_is_walked_sixteen_levels_and_no_more() -> None:
    lines = [line for at in range(19) for line in chained(at)]
    Random(5).shuffle(lines)
    assert await lived_through([(DIRECTORY, line) for line in lines], [3] * 9, [2], 2) == []
    assert shapes_of(DirectoryOracle(lines)) == {"root": 1, "below": 16, "in or below a cycle": 2}


def chained(at: int) -> list[bytes]:
    """Return an organization below the one before, with a person of its own and one that all have."""
    name = f"org-{at:02}"
    above = {"parentId": f"org-{at - 1:02}"} if at else {"tier": "professional"}
    event = {"specversion": "1.0", "id": name, "source": "s", "time": "2026-01-01T00:00:00Z", "organizationid": name}
    user = {"username": "u", "email": "a@b", "role": "Admin", "verified": True, "status": "registered"}
    data: dict[str, Any] = {"action": "upsert", "version": 1}
    things: list[tuple[str, str, dict[str, Any]]] = [
        ("organization", name, above | {"name": name}),
        ("user", name, user),
        ("user", "everywhere", user),
    ]
    return [
        json.dumps(event | {"type": f"directory.{kind}", "subject": subject, "data": data | record}).encode()
        for kind, subject, record in things
    ]


def shapes_of(oracle: DirectoryOracle) -> Counter[str]:
    """Return how many of the organizations that exist stand where in the tree."""
    shapes: Counter[str] = Counter()
    for organization in oracle.organizations_named():
        if oracle.present("organization", organization, organization) is not None:
            root = oracle.root(organization)
            shapes["in or below a cycle" if root is None else "root" if root == organization else "below"] += 1
    return shapes
