"""A part of the SCIM filter language (RFC 7644, section 3.4.2.2), as a condition on an organization. Pure.

Attributes are `name`, `id` and `parent_org_id`; operators `eq`, `co` and `sw`, joined by `and`, `or`, `not (…)` and
parentheses. Words of the language are read whatever their case; names are compared so too, ids are not (RFC 7643,
section 2.2). An organization without a parent meets no condition on it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

CHARACTERS_MAX: Final = 1_000
NESTING_MAX: Final = 20
_SHOWN_MAX: Final = 40


class BadFilter(ValueError):
    """The text is no filter of that part of the language; the sentence says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a filter looks at in an organization."""

    id: str
    name: str
    parent: str | None


Condition = Callable[[Candidate], bool]

_ATTRIBUTES: Final[Mapping[str, Callable[[Candidate], str | None]]] = {
    "name": lambda candidate: candidate.name.casefold(),
    "id": lambda candidate: candidate.id,
    "parent_org_id": lambda candidate: candidate.parent,
}
_IGNORES_CASE: Final = "name"
_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "eq": lambda held, value: held == value,
    "co": lambda held, value: value in held,
    "sw": lambda held, value: held.startswith(value),
}
_TOKEN: Final = re.compile(r' *(?:(?P<word>[A-Za-z$][\w$:.-]*)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[()]))', re.ASCII)


@dataclass(frozen=True, slots=True)
class _Token:
    """A part of the text; `at` counts characters from 1. At the end of the text all three kinds are empty."""

    at: int
    word: str = ""
    string: str = ""
    mark: str = ""

    def __str__(self) -> str:
        text = self.word or self.string or self.mark
        shown = text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
        return f"{shown} at character {self.at}" if text else "the end"


def parse_filter(text: str) -> Condition:
    """Return the condition that a filter states.

    Raises:
        BadFilter: it is longer than `CHARACTERS_MAX`, nested deeper than `NESTING_MAX`, or not of this language.
    """
    if len(text) > CHARACTERS_MAX:
        raise BadFilter(f"a filter has at most {CHARACTERS_MAX} characters")
    parser = _Parser(_tokens(text))
    condition = parser.either(0)
    parser.expect_end()
    return condition


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip(" "):
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip(" "))
            raise BadFilter(f"what begins at character {at + 1} is neither a word, a text in double quotes nor ( or )")
        start = match.start(match.lastgroup or 0) + 1
        yield _Token(start, **{name: part for name, part in match.groupdict().items() if part})
        at = match.end()
    yield _Token(len(text) + 1)


class _Parser:
    """Recursive descent: `or` binds loosest, then `and`, then `not`."""

    def __init__(self, tokens: Iterator[_Token]) -> None:
        self._tokens = tokens
        self._next = next(tokens)

    def either(self, depth: int) -> Condition:
        conditions = [self._both(depth)]
        while self._next.word.lower() == "or":
            self._advance()
            conditions.append(self._both(depth))
        return conditions[0] if len(conditions) == 1 else lambda candidate: any(each(candidate) for each in conditions)

    def expect_end(self) -> None:
        if self._next != _Token(self._next.at):
            raise BadFilter(f"expected and, or or the end, found {self._next}")

    def _both(self, depth: int) -> Condition:
        conditions = [self._one(depth)]
        while self._next.word.lower() == "and":
            self._advance()
            conditions.append(self._one(depth))
        return conditions[0] if len(conditions) == 1 else lambda candidate: all(each(candidate) for each in conditions)

    def _one(self, depth: int) -> Condition:
        if self._next.word.lower() == "not":
            self._advance()
            inner = self._grouped(depth)
            return lambda candidate: not inner(candidate)
        return self._grouped(depth) if self._next.mark == "(" else self._comparison()

    def _grouped(self, depth: int) -> Condition:
        if depth == NESTING_MAX:
            raise BadFilter(f"parentheses are nested deeper than {NESTING_MAX}, {self._next}")
        self._take_mark("(")
        condition = self.either(depth + 1)
        self._take_mark(")")
        return condition

    def _comparison(self) -> Condition:
        attribute = self._take_word("an attribute", _ATTRIBUTES)
        operator = _OPERATORS[self._take_word("an operator", _OPERATORS)]
        value = self._take_string()
        if attribute == _IGNORES_CASE:
            value = value.casefold()
        read = _ATTRIBUTES[attribute]

        def compare(candidate: Candidate) -> bool:
            held = read(candidate)
            return held is not None and operator(held, value)

        return compare

    def _advance(self) -> _Token:
        taken = self._next
        self._next = next(self._tokens, taken)
        return taken

    def _take_word(self, what: str, known: Mapping[str, object]) -> str:
        token = self._advance()
        if token.word.lower() not in known:
            raise BadFilter(f"expected {what} ({', '.join(known)}), found {token}")
        return token.word.lower()

    def _take_mark(self, mark: str) -> None:
        token = self._advance()
        if token.mark != mark:
            raise BadFilter(f"expected {mark}, found {token}")

    def _take_string(self) -> str:
        token = self._advance()
        try:
            return str(json.loads(token.string))
        except ValueError:
            raise BadFilter(f"expected a JSON text in double quotes, found {token}") from None
