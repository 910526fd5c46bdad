"""Clients of the API during the soak: every answer is whole and says as of when, or says to come again."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from services.clock import monotonic_s
from tests.support.beside import Beside
from tests.support.deployment import Deployment
from tests.support.oracle import DAY_MS, Event, to_ms, to_text

ORGANIZATIONS = ("acme", "globex", "initech")
EVERY_SECONDS = 1.0
LOOKED_AT = ("codeCompletions", "completions"), ("chat", "interactions"), ("agent", "interactions")
"""Products and the counters of them that are held against the oracle."""

Numbers = tuple[int, ...]
"""One for each of `LOOKED_AT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer with numbers: all that came before `as_of_ms` is in them."""

    organization: str
    as_of_ms: int
    numbers: Numbers


class Asking(Beside):
    """Asks for one organization's usage once a second, from a thread of its own, while its block runs.

    Attributes:
        wrong: what no answer may be, as sentences.
        unavailable: how many answers were 503.
        slowest_s: the longest that an answer took.
    """

    def __init__(self, deployment: Deployment, seed: int, end_ms: int) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self.wrong: list[str] = []
        self.unavailable = 0
        self.slowest_s = 0.0
        self._deployment = deployment
        self._rng = random.Random(f"asking {seed}")
        self._times = {"from": to_text(end_ms - 40 * DAY_MS), "to": to_text(end_ms + DAY_MS)}

    def ask(self, organization: str) -> None:
        """Ask once, and keep the answer."""
        began_s = monotonic_s()
        parameters = {"organizationId": organization, "granularity": "all"} | self._times
        try:
            # A client each time: a token lives for an hour, a soak longer.
            with self._deployment.client(organization) as client:
                answer = client.get("/api/v1/organization/usage", params=parameters)
        except httpx.HTTPError as error:
            self.wrong.append(f"no answer: {error!r}")
            return
        self.slowest_s = max(self.slowest_s, monotonic_s() - began_s)
        self._keep(organization, answer)

    def _work(self) -> None:
        while self._goes_on(EVERY_SECONDS):
            self.ask(self._rng.choice(ORGANIZATIONS))

    def _keep(self, organization: str, answer: httpx.Response) -> None:
        match answer.status_code:
            case 200:
                as_of = answer.json()["asOf"]
                if as_of is None or as_of != answer.headers.get("Tidemark-As-Of"):
                    self.wrong.append(f"asOf is {as_of}, the header {answer.headers.get('Tidemark-As-Of')}")
                    return
                numbers = _numbers(answer.json()["usage"]["data"])
                self.answers.append(Answer(organization=organization, as_of_ms=to_ms(as_of), numbers=numbers))
            case 503 if int(answer.headers.get("Retry-After", "0")) >= 1:
                self.unavailable += 1
            case status:
                self.wrong.append(f"{status}: {answer.text[:200]}")


def _numbers(blocks: list[dict[str, Any]]) -> Numbers:
    return tuple(sum(block[product][name] for block in blocks) for product, name in LOOKED_AT)


class AnswerJudge:
    """Knows what an organization's numbers hold at least at each second, and what they are in the end."""

    def __init__(self) -> None:
        self._seconds: dict[str, dict[int, list[int]]] = defaultdict(dict)

    def add(self, event: Event, broker_ms: int) -> None:
        """Take an event that changed the counters; broker times need not rise."""
        places = [place for place, (product, _) in enumerate(LOOKED_AT) if product == event.product]
        if places and event.identity[0] in ORGANIZATIONS:
            of_second = self._seconds[event.identity[0]].setdefault(broker_ms // 1000, [0] * len(LOOKED_AT))
            of_second[places[0]] += event.amounts[0]

    def total(self, organization: str) -> Numbers:
        return tuple(map(sum, zip(*self._seconds[organization].values(), strict=True)))

    def differences(self, answers: list[Answer]) -> Iterator[str]:
        """Yield a sentence for each answer that lacks what its `asOf` promises, or holds more than there ever was."""
        for organization in ORGANIZATIONS:
            of_it = sorted((each for each in answers if each.organization == organization), key=lambda a: a.as_of_ms)
            seconds = iter(sorted(self._seconds[organization].items()))
            total, held = self.total(organization), Counter[int]()
            second, amounts = next(seconds, (None, []))
            for answer in of_it:
                while second is not None and second < answer.as_of_ms // 1000:
                    held.update(dict(enumerate(amounts)))
                    second, amounts = next(seconds, (None, []))
                least = tuple(held[place] for place in range(len(LOOKED_AT)))
                if not all(map(_between, least, answer.numbers, total)):
                    yield f"{organization} as of {to_text(answer.as_of_ms)}: {answer.numbers}, not {least} to {total}"


def _between(least: int, number: int, most: int) -> bool:
    return least <= number <= most
