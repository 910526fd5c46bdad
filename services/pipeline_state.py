"""The state file of `tidemark up`: where the pipeline is, and with which settings, for the other commands."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


class NoPipeline(Exception):
    """The state file is not there or is none; the message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineState:
    """What the file holds, member by member.

    Attributes:
        kafka: bootstrap addresses, `host:port`.
        redis: URL.
        api: base URL.
        pids: role or server -> process ids that run now; `broker` and `redis` are empty where they were given.
        environment: the `TIDEMARK_*` variables with which another command loads the same settings, secrets included.
        health: role -> `host:port` of /healthz, /readyz and /metrics.
    """

    kafka: str
    redis: str
    api: str
    pids: Mapping[str, Sequence[int]]
    environment: Mapping[str, str] = field(default_factory=dict)
    health: Mapping[str, Sequence[str]] = field(default_factory=dict)


def write_state(path: Path, state: PipelineState) -> None:
    """Write the file whole or not at all, for its owner's eyes only: it holds secrets."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(state), indent=2) + "\n")
    draft.replace(path)


def read_state(path: Path) -> PipelineState:
    """Read the file.

    Raises:
        NoPipeline: it is not there, or is not one that `up` writes.
    """
    try:
        return PipelineState(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoPipeline(f"state file {path}: {reason}; `tidemark up --state-file {path}` writes it") from error
    except (ValueError, TypeError) as error:
        raise NoPipeline(f"state file {path} is not one that `tidemark up --state-file` wrote: {error}") from error
