"""The two servers that are asked: the API as users run it, and the bare route with the answers of the API."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from services.settings import Settings
from services.settings_loading import environment
from tests.bench.api.bare import Recorded
from tests.support.child_process import ChildProcess
from tests.support.pipeline import ROOT, clean_environment
from tests.support.ports import LOOPBACK, free_ports, listens

START_SECONDS = 30

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is asked; `pids` are the processes that work on its answers, by name."""

    address: Address
    pids: Mapping[str, int]


@contextmanager
def running_api(settings: Settings, directory: Path, redis_pid: int) -> Iterator[Server]:
    """Run `python -m query_api` and yield it; its log must stay empty of warnings."""
    port = free_ports(1)[0]
    variables = environment(settings) | {"TIDEMARK_API__PORT": str(port)}
    with _running("query_api", ["query_api"], directory, port, variables) as child:
        yield Server(address=(LOOPBACK, port), pids={"api": child.pid, "redis": redis_pid})
        loud = [line for line in child.written().splitlines() if json.loads(line)["level"] != "info"]
        assert not loud, loud[:3]


@contextmanager
def running_bare(answers: Sequence[Recorded], directory: Path) -> Iterator[Server]:
    """Run the bare route over recorded answers and yield it."""
    port = free_ports(1)[0]
    file = directory / "answers.json"
    file.write_bytes(msgspec.json.encode(answers))
    with _running("bare", ["tests.bench.api.bare", str(file), str(port)], directory, port, {}) as child:
        yield Server(address=(LOOPBACK, port), pids={"bare": child.pid})


@contextmanager
def _running(
    name: str, module: Sequence[str], directory: Path, port: int, variables: dict[str, str]
) -> Iterator[ChildProcess]:
    child = ChildProcess(
        name,
        [sys.executable, "-m", *module],
        directory=ROOT,
        log=directory / f"{name}.log",
        environment=clean_environment(variables),
    )
    try:
        child.wait_until(lambda: listens(child.pid, port), seconds=START_SECONDS)
        yield child
    finally:
        child.stop()
