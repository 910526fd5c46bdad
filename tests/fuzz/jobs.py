"""What is run: jobs for a few processes, each one run of the engine over all operations, from a seed of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

SEED: Final = 4
CASES_MIN: Final = 20_000
ANSWERED_MIN: Final = 0.30
"""The least share of 200 among all answers."""

_CASES_PLANNED: Final = 20_200
"""What the fuzzing jobs aim at; the other phases come on top."""

_FUZZING_JOBS: Final = 4
_WITH_CREDENTIALS: Final = 60
_SCENARIOS: Final = 300

Phase = Literal["examples", "coverage", "fuzzing", "stateful"]
Mode = Literal["all", "positive"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of the engine.

    Attributes:
        examples: cases of each operation when fuzzing; scenarios of several steps when stateful.
        mode: "all" mixes cases that break the schema half and half with those that follow it.
        credentials: whether credentials are generated too; they are nearly always wrong, and what lies behind
            them is then not reached.
    """

    name: str
    phases: tuple[Phase, ...]
    seed: int = SEED
    examples: int = 1
    mode: Mode = "all"
    credentials: bool = False


def jobs(operations: int) -> Iterator[Job]:
    """Yield the jobs for a document with so many operations that take parameters; of the others there is one case."""
    yield Job(name="coverage", phases=("examples", "coverage"), credentials=True)
    yield Job(name="credentials", phases=("fuzzing",), examples=_WITH_CREDENTIALS, credentials=True)
    yield Job(name="stateful", phases=("stateful",), examples=_SCENARIOS)
    examples = -(-_CASES_PLANNED // (_FUZZING_JOBS * operations))
    for number in range(_FUZZING_JOBS):
        mode: Mode = "positive" if number % 2 else "all"
        yield Job(name=f"fuzzing {number}", phases=("fuzzing",), seed=SEED + number, examples=examples, mode=mode)
