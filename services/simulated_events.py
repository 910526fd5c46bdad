"""The simulated events' text: drawn numbers in, JSON lines out. Pure.

Written from templates, since two million lines through a JSON library would take longer than counting them.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

LANGUAGES: Final = ("python", "go", "java", "typescript", "rust", "c++", "sql", "kotlin")
IDES: Final = ("vscode", "idea", "pycharm", "neovim", "visual-studio")
MODELS: Final = ("gpt-5", "sonnet", "gemini", "qwen3", "protected")
AGENT_TYPES: Final = ("coder", "reviewer", "tester", "planner")
OFFSETS: Final = ("Z", "+00:00", "+02:00", "-05:00", "+05:30")

MICROS_PER_INPUT_TOKEN: Final = 3
MICROS_PER_OUTPUT_TOKEN: Final = 15


class Draws:
    """Small integers of one chunk, drawn together: `between` and `part_of` give one for each event."""

    def __init__(self, rng: np.random.Generator, size: int, idle_share: float) -> None:
        self._rng = rng
        self._size = size
        self._idle = rng.random(size) < idle_share

    def between(self, low: int, high: int) -> Integers:
        """Return integers from `low` to `high`, both included."""
        return self._rng.integers(low, high + 1, self._size)

    def leading(self, high: int) -> Integers:
        """Return integers from 1 to `high`, 0 for idle events."""
        return np.where(self._idle, 0, self.between(1, high))

    def part_of(self, whole: Integers, share: float) -> Integers:
        """Return for each whole how much of it was taken, each unit with the chance `share`."""
        return self._rng.binomial(whole, share)

    def choice(self, names: Sequence[str]) -> list[str]:
        """Return names; the first ones come more often."""
        place = np.minimum(self._rng.geometric(0.45, self._size) - 1, len(names) - 1)
        return [names[index] for index in place.tolist()]


def completion_data(draws: Draws) -> list[str]:
    completions = draws.leading(4)
    suggestions = completions + draws.between(0, 6)
    rows = zip(
        completions.tolist(),
        (completions * draws.between(8, 90)).tolist(),
        draws.between(5, 240).tolist(),
        (completions * draws.between(1, 3)).tolist(),
        suggestions.tolist(),
        draws.choice(LANGUAGES),
        draws.choice(IDES),
        draws.choice(MODELS),
        strict=True,
    )
    return [
        f'{{"completions":{completed},"charsCompleted":{chars},"keystrokes":{keys},"lines":{lines},'
        f'"suggestions":{shown},"language":"{language}","ide":"{ide}","model":"{model}"}}'
        for completed, chars, keys, lines, shown, language, ide, model in rows
    ]


def chat_data(draws: Draws) -> list[str]:
    interactions = draws.leading(3)
    useful = draws.part_of(interactions, 0.55)
    lines = useful * draws.between(0, 20)
    tokens_in, tokens_out = draws.between(200, 9000), draws.between(50, 2500)
    rows = zip(
        interactions.tolist(),
        useful.tolist(),
        (2 * interactions).tolist(),
        lines.tolist(),
        draws.part_of(lines, 0.6).tolist(),
        (lines * draws.between(12, 48)).tolist(),
        tokens_in.tolist(),
        tokens_out.tolist(),
        (tokens_in * MICROS_PER_INPUT_TOKEN + tokens_out * MICROS_PER_OUTPUT_TOKEN).tolist(),
        draws.choice(LANGUAGES),
        draws.choice(IDES),
        draws.choice(MODELS),
        strict=True,
    )
    return [
        f'{{"interactions":{asked},"usefulChatInteractions":{used},"messages":{sent},"lines":{shown},'
        f'"linesAdded":{added},"charsCompleted":{chars},"inputTokens":{tin},"outputTokens":{tout},'
        f'"costMicros":{cost},"language":"{language}","ide":"{ide}","model":"{model}"}}'
        for asked, used, sent, shown, added, chars, tin, tout, cost, language, ide, model in rows
    ]


def agent_data(draws: Draws) -> list[str]:
    interactions = draws.leading(3)
    added, removed = draws.between(0, 120), draws.between(0, 60)
    tokens_in, tokens_out = draws.between(2_000, 90_000), draws.between(200, 9_000)
    rows = zip(
        interactions.tolist(),
        (interactions + draws.between(0, 4)).tolist(),
        added.tolist(),
        draws.part_of(added, 0.9).tolist(),
        removed.tolist(),
        draws.part_of(removed, 0.95).tolist(),
        tokens_in.tolist(),
        tokens_out.tolist(),
        (tokens_in * MICROS_PER_INPUT_TOKEN + tokens_out * MICROS_PER_OUTPUT_TOKEN).tolist(),
        draws.choice(AGENT_TYPES),
        draws.choice(LANGUAGES),
        draws.choice(MODELS),
        strict=True,
    )
    return [
        f'{{"interactions":{asked},"messages":{sent},"linesAdded":{plus},"linesAddedAccepted":{kept},'
        f'"linesRemoved":{minus},"linesRemovedAccepted":{gone},"inputTokens":{tin},"outputTokens":{tout},'
        f'"costMicros":{cost},"agentType":"{agent}","language":"{language}","model":"{model}"}}'
        for asked, sent, plus, kept, minus, gone, tin, tout, cost, agent, language, model in rows
    ]


def instruct_data(draws: Draws) -> list[str]:
    return [f'{{"acceptedCount":{accepted}}}' for accepted in draws.leading(2).tolist()]


DATA_OF_TYPE: Final[tuple[tuple[str, Callable[[Draws], list[str]]], ...]] = (
    ("usage.code_completion", completion_data),
    ("usage.chat", chat_data),
    ("usage.agent", agent_data),
    ("usage.instruct", instruct_data),
)
"""Event types with what writes their `data`, in the order of `Shape.type_shares`."""


def time_texts(instants_ms: Integers, offset: str) -> list[str]:
    """Return instants as RFC 3339 with milliseconds in a zone such as `Z` or `+05:30`."""
    texts = np.datetime_as_string((instants_ms + _offset_ms(offset)).astype("datetime64[ms]"), unit="ms")
    return [f"{text}{offset}" for text in texts.tolist()]


def _offset_ms(offset: str) -> int:
    if offset == "Z":
        return 0
    sign = -1 if offset[0] == "-" else 1
    return sign * (int(offset[1:3]) * 60 + int(offset[4:6])) * 60_000
