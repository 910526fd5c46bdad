"""Reads a Dockerfile: the subset that deploy/Dockerfile uses, and a refusal for all else.

It holds to Docker's reference where it goes: comments, lines that a backslash continues, JSON and shell forms, ARG
before FROM, `$NAME` and `${NAME}`. What is not here (ADD, ONBUILD, heredocs, flags of RUN …) is refused by name, so
that nothing is passed over in silence.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_PAIR: Final = re.compile(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)\s*')


class NotReplayed(Exception):
    """The Dockerfile uses what this reader does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """COPY. `source_stage` is None for the build context; paths are as written, variables replaced."""

    sources: Sequence[str]
    target: str
    source_stage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """RUN in its shell form."""

    command: str


Act: TypeAlias = Copy | Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a stage says of the containers of its image; in JSON form only."""

    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()
    healthcheck: Sequence[str] = ()
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An act, and the image as it stands when it is done."""

    act: Act
    image: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    base: str
    name: str
    steps: Sequence[Step]
    image: Image


def read(text: str, *, base: Image, arguments: Mapping[str, str] | None = None) -> list[Stage]:
    """Return the stages.

    Args:
        base: what each FROM begins with.
        arguments: of the build (`--build-arg`), above the defaults of ARG.

    Raises:
        NotReplayed: something is used that is not known here.
    """
    given = dict(arguments or {})
    known: dict[str, str] = {}
    stages: list[_Stage] = []
    for word, rest in _instructions(text):
        if word == "ARG" and not stages:
            name, _, default = rest.partition("=")
            known[name] = given.get(name, default)
        elif word == "FROM":
            stages.append(_begin(_replaced(rest, known), len(stages), base))
        elif not stages:
            raise NotReplayed(f"{word} before FROM")
        else:
            stages[-1].take(word, rest)
    return [stage.done() for stage in stages]


class _Stage:
    """A stage while it is read."""

    def __init__(self, base: str, name: str, image: Image) -> None:
        self._base = base
        self._name = name
        self._image = image
        self._steps: list[Step] = []

    def done(self) -> Stage:
        return Stage(base=self._base, name=self._name, steps=self._steps, image=self._image)

    def take(self, word: str, rest: str) -> None:
        match word:
            case "RUN":
                self._act(_run(rest))
            case "COPY":
                self._act(_copy(_replaced(rest, self._image.environment)))
            case _:
                self._image = _told(self._image, word, rest)

    def _act(self, act: Act) -> None:
        self._steps.append(Step(act=act, image=self._image))


def _begin(rest: str, number: int, base: Image) -> _Stage:
    match rest.split():
        case [name]:
            return _Stage(name, str(number), base)
        case [name, word, alias] if word.upper() == "AS":
            return _Stage(name, alias, base)
        case _:
            raise NotReplayed(f"FROM {rest}")


def _told(image: Image, word: str, rest: str) -> Image:
    """Return the image with what an instruction says of it; ENV takes the variables as they stood before it."""
    if word == "HEALTHCHECK":
        return replace(image, healthcheck=_json_form(word, re.sub(r"--\S+\s+", "", rest).removeprefix("CMD ")))
    if word == "ENTRYPOINT":
        return replace(image, entrypoint=_json_form(word, rest))
    if word == "CMD":
        return replace(image, command=_json_form(word, rest))
    rest = _replaced(rest, image.environment)
    match word:
        case "ENV":
            return replace(image, environment={**image.environment, **_pairs(rest)})
        case "LABEL":
            return replace(image, labels={**image.labels, **_pairs(rest)})
        case "WORKDIR" if rest.startswith("/"):
            return replace(image, workdir=rest)
        case "USER" if re.fullmatch(r"\d+:\d+", rest):
            return replace(image, user=rest)
        case "EXPOSE":
            return replace(image, ports=[*image.ports, *map(int, rest.split())])
        case _:
            raise NotReplayed(f"{word} {rest}")


def _run(rest: str) -> Run:
    if rest.startswith(("--", "[", "<<")):
        raise NotReplayed(f"RUN {rest}")
    return Run(command=rest)


def _copy(rest: str) -> Copy:
    words = rest.split()
    stage = None
    if words[0].startswith("--from="):
        stage = words.pop(0).removeprefix("--from=")
    if len(words) < 2 or any(word.startswith(("--", "[", "<<")) or "*" in word for word in words):
        raise NotReplayed(f"COPY {rest}")
    *sources, target = words
    return Copy(sources=sources, target=target, source_stage=stage)


def _json_form(word: str, rest: str) -> list[str]:
    if not rest.startswith("["):
        raise NotReplayed(f"{word} {rest}: only the JSON form")
    words: list[str] = json.loads(rest)
    return words


def _pairs(rest: str) -> dict[str, str]:
    if _PAIR.sub("", rest):
        raise NotReplayed(f"not NAME=value: {rest}")
    return {name: value.strip('"') for name, value in _PAIR.findall(rest)}


def _replaced(text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in values:
            raise NotReplayed(f"${name} is not set where it is used")
        return values[name]

    return _VARIABLE.sub(value, text)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction's word and the rest, on one line."""
    held = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.rstrip().endswith("\\"):
            held += line.strip().removesuffix("\\")
            continue
        word, _, rest = (held + line.strip()).partition(" ")
        held = ""
        yield word.upper(), rest.strip()
    if held:
        raise NotReplayed(f"the last line is continued: {held}")
