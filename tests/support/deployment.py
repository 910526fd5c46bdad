"""One deployment under a rig: its topics, its settings, and as many processes of each role as a test wants."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import httpx

from services.caught_up import wait_until_caught_up
from services.clock import now_ms
from services.counters import PartitionState
from services.identifiers import OrganizationId, UserId
from services.settings import Settings
from services.stores import open_store, read_states
from services.tokens import Claims, Role, issue_token, token_key
from services.topics import create_missing
from tests.support.pipeline import TIDEMARK, Finished, clean_environment
from tests.support.worker import Worker

TOPICS = ("events", "directory", "frames", "dead_letters")
PARTITIONS = 4
"""Of the frames; few, so that each holds events soon."""

SETTINGS = {
    "ingest__session_timeout": "6s",
    "aggregator__session_timeout": "6s",
    "topics__frames_partitions": str(PARTITIONS),
}
"""A killed worker's partitions move after a session, and the broker allows none below 6 s."""

HTTP_SECONDS = 20


class Deployment:
    """Topics of its own on a broker, counters in a Redis, and role processes; `close` kills what is left.

    Args:
        directory: for logs and files.
        settings: `group__name` to value, above those of `SETTINGS`.
    """

    def __init__(self, directory: Path, kafka: str, redis: str, **settings: str) -> None:
        self.directory = directory
        self.prefix = uuid.uuid4().hex[:8]
        named = {f"topics__{name}": f"{self.prefix}.{name.replace('_', '-')}" for name in TOPICS}
        named |= SETTINGS | {"kafka__bootstrap_servers": kafka, "redis__url": redis} | settings
        self.variables = {f"TIDEMARK_{name.upper()}": value for name, value in named.items()}
        self.settings = _settings(named)
        self.workers: list[Worker] = []

    def begin(self) -> Self:
        """Create the topics."""
        asyncio.run(create_missing(self.settings))
        return self

    def worker(
        self,
        role: str,
        *,
        restarts: bool = True,
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> Worker:
        """Return one more process of a role, not started.

        Args:
            variables: `group__name` to value, of this one alone and in all its runs, such as another Redis address.
            environment: variables that are no settings, such as PYTHONPATH.
            options: of `tidemark run`.
        """
        named = {f"TIDEMARK_{name.upper()}": value for name, value in (variables or {}).items()}
        named |= environment or {}
        worker = Worker(
            role, len(self.workers), self.directory, self.variables | named, restarts=restarts, options=options
        )
        self.workers.append(worker)
        return worker

    def start(self, *roles: str) -> list[Worker]:
        """Start one process of each role named, and return when all are ready."""
        workers = [self.worker(role) for role in roles]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.await_ready()
        return workers

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

    def run(self, *arguments: str | Path, seconds: float = 120, code: int = 0) -> Finished:
        """Run a `tidemark` command to its end, which must have this exit code."""
        done = subprocess.run(
            [*TIDEMARK, *map(str, arguments)],
            env=clean_environment(self.variables),
            capture_output=True,
            text=True,
            cwd=self.directory,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return Finished(code=done.returncode, out=done.stdout, err=done.stderr)

    def catch_up(self, seconds: float = 120) -> None:
        """Wait until everything that is in the source topics now is applied."""

        async def wait() -> None:
            async with open_store(self.settings) as store:
                waited = await wait_until_caught_up(self.settings, store, seconds)
            assert waited.caught_up, f"not within {seconds:g} s: {waited.behind}\n{self.logs()}"

        asyncio.run(wait())

    def states(self) -> list[PartitionState | None]:
        """Return the state of each partition, as Redis has it."""

        async def read() -> list[PartitionState | None]:
            async with open_store(self.settings) as store:
                return list(await read_states(store, self.settings.topics.frames_partitions))

        return asyncio.run(read())

    def applied(self) -> list[int]:
        """Return the applied offset of each partition, -1 where nothing was applied."""
        return [-1 if state is None else int(state.applied_offset) for state in self.states()]

    def export(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of `counters export`."""
        file = self.directory / "export.ndjson"
        self.run("counters", "export", "--out", file)
        with file.open("rb") as lines:
            yield from map(json.loads, lines)

    def client(self, organization: str) -> httpx.Client:
        """A client of the API, whose port is the setting `api__port`, with an organization's token."""
        claims = Claims(subject=UserId("tests"), organization=OrganizationId(organization), role=Role.ADMIN)
        token = issue_token(claims, token_key(self.settings.api), issued_s=now_ms() // 1000, lifetime_s=3600)
        base = f"http://127.0.0.1:{self.settings.api.port}"
        return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=HTTP_SECONDS)

    def logs(self) -> str:
        """The last lines of every process."""
        return "\n".join(f"== {worker.name}\n{worker.tail()}" for worker in self.workers)


def _settings(named: Mapping[str, str]) -> Settings:
    groups: dict[str, dict[str, str]] = {}
    for name, value in named.items():
        group, _, setting = name.partition("__")
        groups.setdefault(group, {})[setting] = value
    return Settings(**cast(Any, groups))
