"""Random histories through ingest's packing and the aggregator's fold, asked through the API, beside the oracle."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.metrics_contract import PRODUCTS
from services.settings import TopicSettings
from services.windows import rfc3339
from tests.support.api_in_process import NOW_MS, PARTITIONS, SETTINGS, Api, api_over, bearer
from tests.support.directory_history import KINDS, Publisher, kinds_in
from tests.support.directory_oracle import DirectoryOracle
from tests.support.directory_questions import Month, Question, difference, figures, months_between, questions
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import DIRECTORY, TopicReader
from tests.support.oracle import Oracle

MONTHS = months_between((2023, 10), (2026, 9))
NOBODY = "never heard of"
HISTORY_SETTINGS = SETTINGS.model_copy(
    update={"topics": TopicSettings(frames_partitions=PARTITIONS, events="events", directory=DIRECTORY)}
)
Asked = Callable[[DirectoryOracle, str, Sequence[Month], Mapping[Month, int]], Iterator[Question]]
sizes = st.lists(st.integers(1, 9), max_size=6)


@dataclass
class Told:
    """What was published so far, counted by the oracles."""

    directory: DirectoryOracle = field(default_factory=DirectoryOracle)
    usage: Oracle = field(default_factory=Oracle)

    def tell(self, lines: Sequence[tuple[str, bytes]]) -> None:
        for topic, line in lines:
            (self.directory if topic == DIRECTORY else self.usage).add(line)

    def active(self, organization: str) -> dict[Month, int]:
        """Return the distinct active users of each month."""
        scope = (organization, None, None)
        if scope not in self.usage.scopes():
            return {}
        blocks = self.usage.blocks(scope, "monthly", *self.usage.span_ms(), now_ms=NOW_MS)
        return {(int(block["from"][:4]), int(block["from"][5:7])): block["activeUsers"] for block in blocks}


def with_usage(lines: Sequence[bytes], random: Random) -> Iterator[tuple[str, bytes]]:
    """Yield (topic, line) pairs: directory events, and usage by the same people now and then."""
    for number, line in enumerate(lines):
        yield DIRECTORY, line
        if random.random() < 0.3:
            product = random.choice(PRODUCTS)
            use = {
                "specversion": "1.0",
                "id": f"use-{number}",
                "source": "svc/a",
                "type": product.event_type,
                "time": rfc3339(random.randrange(Publisher.first_ms, Publisher.last_ms)),
                "subject": f"person-{random.randrange(4)}",
                "organizationid": f"org-{random.randrange(3)}",
                "data": {product.leading: random.choice((0, 1, 5))},
            }
            yield "events", json.dumps(use).encode()


async def differences(api: Api, told: Told, asked: Asked) -> list[str]:
    """Ask about every organization that an event has named, and about one that none has."""
    found = []
    for organization in [*told.directory.organizations_named(), NOBODY]:
        for question in asked(told.directory, organization, MONTHS, told.active(organization)):
            answer = await api.get(question.path, question.parameters, bearer(organization) | question.headers)
            said = answer.json() if answer.status_code == 200 else None
            if (sentence := difference(question, answer.status_code, said)) is not None:
                found.append(sentence)
    return found


async def lived_through(
    lines: Sequence[bytes],
    random: Random,
    poll_sizes: Sequence[int],
    run_sizes: Sequence[int],
    stops: int,
    asked: Asked = questions,
) -> list[str]:
    """Return what the API answered wrongly at any of some stops on the way through a history, the last at its end."""
    pairs = list(with_usage(lines, random))
    store, reader, told = await begun(PARTITIONS), TopicReader(PARTITIONS, first_ms=NOW_MS), Told()
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
    lines = Publisher(random, organizations=3, persons=4, teams=2, groups=2).history(steps)
    for kind in kinds_in(lines):
        event(kind)
    assert await lived_through(lines, random, poll_sizes, run_sizes, stops, figures) == []


LONG = range(3)


def long_history(random: Random) -> list[bytes]:
    return Publisher(random, organizations=8, persons=9).history(600)


@pytest.mark.parametrize("seed", LONG)
async def test_every_answer_is_the_oracles_in_a_long_history(seed: int) -> None:
    random = Random(seed)
    lines = long_history(random)
    assert await lived_through(lines, random, [7] * 60, [1, 2, 3] * 9, 3) == []


def test_everything_happens_in_the_long_histories() -> None:
    histories = [long_history(Random(seed)) for seed in LONG]
    kinds = sum((kinds_in(lines) for lines in histories), Counter[str]())
    assert min(kinds[kind] for kind in KINDS) > 2
    shapes = sum((shapes_of(DirectoryOracle(lines)) for lines in histories), Counter[str]())
    assert min(shapes[shape] for shape in ("below", "root", "in or below a cycle")) > 2


async def test_a_chain_of_organizations_is_walked_sixteen_levels_and_no_more() -> None:
    lines = [line for at in range(19) for line in chained(at)]
    Random(5).shuffle(lines)
    assert await lived_through(lines, Random(5), [3] * 9, [2], 2) == []
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
