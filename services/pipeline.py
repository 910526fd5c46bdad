"""The whole pipeline on this machine: servers where none were given, topics, roles, and the file that says where."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services import localstack, topics
from services.environment import child_environment, given
from services.localstack import LocalServer
from services.pipeline_state import PipelineState, write_state
from services.processes import Write
from services.settings import Settings
from services.settings_loading import environment, load_settings
from services.supervisor import RoleProcess, Say, Supervisor, how_it_ended, role_command

REMIND_INTERVAL_S: Final = 10.0
SERVER_PATIENCE_S: Final = 5.0

BROKER, REDIS = "broker", "redis"


class ServerDied(Exception):
    """An embedded server ended, and all that it held in memory is gone; the pipeline cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRequest:
    """What `up` was asked for.

    Attributes:
        overrides: group -> name -> value of settings, above all other sources.
        ingest, aggregators: how many processes.
        log_dir: one file a process; None sends the roles' logs to stderr and drops the servers'.
        state_file: kept current from the moment that everything is ready, and taken away at the end.
    """

    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ingest: int = 1
    aggregators: int = 1
    log_dir: Path | None = None
    state_file: Path | None = None


class Pipeline:
    """A pipeline that was started; see `running`."""

    def __init__(
        self, request: PipelineRequest, settings: Settings, servers: list[LocalServer], roles: Supervisor, say: Say
    ) -> None:
        self.settings = settings
        self._request = request
        self._servers = servers
        self._roles = roles
        self._say = say

    @property
    def api(self) -> str:
        return f"http://{self.settings.api.host}:{self.settings.api.port}"

    def state(self) -> PipelineState:
        servers = {name: [each.child.pid for each in self._servers if each.name == name] for name in (BROKER, REDIS)}
        return PipelineState(
            kafka=self.settings.kafka.bootstrap_servers,
            redis=self.settings.redis.url,
            api=self.api,
            pids=self._roles.pids() | servers,
            environment=environment(self.settings),
            health=self._roles.health(),
        )

    async def until_ready(self) -> None:
        """Return when every role has been ready at once; then the state file is there.

        Raises:
            ServerDied: an embedded server ended meanwhile.
        """
        await self._while_servers_live(self._until_ready())
        self._write_state()

    async def keep_current(self) -> None:
        """Keep the state file current until cancelled.

        Raises:
            ServerDied: an embedded server ended.
        """
        await self._while_servers_live(self._keep_current())

    async def _until_ready(self) -> None:
        while not self._roles.all_ready:
            try:
                async with asyncio.timeout(REMIND_INTERVAL_S):
                    await self._roles.change()
            except TimeoutError:
                for process, why in self._roles.missing().items():
                    self._say(f"still waiting for {process}: {why}")

    async def _keep_current(self) -> None:
        while True:
            await self._roles.change()
            self._write_state()

    def _write_state(self) -> None:
        if self._request.state_file is not None:
            write_state(self._request.state_file, self.state())

    async def _while_servers_live(self, work: Any) -> None:
        working = asyncio.ensure_future(work)
        ends = {asyncio.ensure_future(each.child.wait()): each for each in self._servers}
        try:
            await asyncio.wait([working, *ends], return_when=asyncio.FIRST_COMPLETED)
            for ended, server in ends.items():
                if ended.done():
                    self._roles.hurry()
                    raise ServerDied(
                        f"the embedded {server.name} {how_it_ended(ended.result(), server.child.last_line)}:"
                        " what it held in memory is gone, so the pipeline ends"
                    )
            working.result()
        finally:
            for task in (working, *ends):
                task.cancel()
            await asyncio.gather(working, *ends, return_exceptions=True)


@asynccontextmanager
async def running(request: PipelineRequest, say: Say) -> AsyncIterator[Pipeline]:
    """Start everything; leaving the context stops the roles first, then the servers, and leaves nothing behind.

    Raises:
        WrongSettings, LocalStackUnavailable, KafkaUnavailable, KafkaRefused: it cannot be started.
    """
    load_settings(request.overrides)  # what is wrong is said before anything is started
    async with AsyncExitStack() as stack:
        if request.state_file is not None:
            request.state_file.unlink(missing_ok=True)
            stack.callback(request.state_file.unlink, missing_ok=True)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-")))
        logs = _Logs(request.log_dir, stack)
        settings, servers = await _with_servers(request, stack, logs, say)
        say(f"kafka {settings.kafka.bootstrap_servers}, redis {settings.redis.url}")
        for name in await topics.create_missing(settings):
            say(f"created topic {name}")
        variables = child_environment(settings, directory)
        counts = {"ingest": request.ingest, "aggregator": request.aggregators, "api": 1}
        if settings.canary.enabled:
            counts["canary"] = 1
        processes = [
            RoleProcess(
                role,
                number,
                command=role_command(role),
                environment=variables,
                directory=directory,
                write=logs.of(f"{role}-{number}"),
                say=say,
            )
            for role, count in counts.items()
            for number in range(count)
        ]
        roles = await stack.enter_async_context(Supervisor(processes))
        yield Pipeline(request, settings, servers, roles, say)


async def _with_servers(
    request: PipelineRequest, stack: AsyncExitStack, logs: "_Logs", say: Say
) -> tuple[Settings, list[LocalServer]]:
    """Start the servers that were not given; return the settings with their addresses."""
    overrides = {group: dict(values) for group, values in request.overrides.items()}
    kafka, redis, api = (overrides.setdefault(group, {}) for group in ("kafka", "redis", "api"))
    servers = []
    embedded = {
        BROKER: "bootstrap_servers" not in kafka and not given("kafka", "bootstrap_servers"),
        REDIS: "url" not in redis and not given("redis", "url"),
    }
    if line := trying_out(embedded):
        say(line)
    if embedded[BROKER]:
        broker = await localstack.start_broker(logs.of(BROKER, servers=True))
        stack.push_async_callback(broker.child.stop, SERVER_PATIENCE_S)
        kafka |= {"bootstrap_servers": broker.address, "idempotence": False}
        servers.append(broker)
    if embedded[REDIS]:
        store = await localstack.start_redis(logs.of(REDIS, servers=True))
        stack.push_async_callback(store.child.stop, SERVER_PATIENCE_S)
        redis["url"] = f"redis://{store.address}/0"
        servers.append(store)
    if "port" not in api and not given("api", "port"):
        api["port"] = localstack.free_port()
    return load_settings(overrides), servers


def trying_out(embedded: Mapping[str, bool]) -> str:
    """Return the line that says what the embedded servers are not good for; empty when there are none."""
    if embedded[BROKER]:
        redis = ", as its Redis does" if embedded[REDIS] else ""
        return (
            f"This broker is for trying out: it is in memory and starts empty each time{redis};"
            " it keeps the producer's timestamp, and idempotent producing is off."
        )
    if embedded[REDIS]:
        return "This Redis is for trying out: it is in memory and starts empty each time."
    return ""


class _Logs:
    """Where each process's output goes."""

    def __init__(self, directory: Path | None, stack: AsyncExitStack) -> None:
        self._directory = directory
        self._stack = stack
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)

    def of(self, name: str, *, servers: bool = False) -> Write:
        if self._directory is not None:
            file = self._stack.enter_context((self._directory / f"{name}.log").open("ab", buffering=0))
            return lambda chunk: _ignore(file.write(chunk))
        return _drop if servers else _to_stderr


def _drop(chunk: bytes) -> None:
    """An embedded server's output, which nobody asked to keep; its last line is kept by `Child`."""


def _to_stderr(chunk: bytes) -> None:
    sys.stderr.buffer.write(chunk)
    sys.stderr.flush()


def _ignore(_: object) -> None:
    """A callback returns nothing."""
