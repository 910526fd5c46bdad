"""The whole pipeline under test: `tidemark up` as a process of its own, driven through the command line.

Each one has topics with a prefix of its own, so that pipelines can follow each other on one broker.
"""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import httpx

from services.clock import now_ms
from services.counters import StoreUnavailable
from services.identifiers import OrganizationId, UserId
from services.lag import covered_up_to
from services.settings import Settings
from services.settings_loading import environment
from services.stores import open_store, read_states
from services.tokens import Claims, Role, TokenKey, issue_token
from tests.support.child_process import ChildProcess

ROOT = Path(__file__).parent.parent.parent
TIDEMARK = (sys.executable, "-m", "services.cli.main")
START_SECONDS = 60
STOP_SECONDS = 30

# What an HTTP answer may take; not the pipeline's patience.
HTTP_SECONDS = 20


def await_condition(met: Callable[[], bool], what: str, *, seconds: float, every: float = 0.05) -> None:
    """Return once `met()` holds; fail naming `what` when the time is up."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without its own TIDEMARK_*, with these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    return inherited | {"PYTHONPATH": str(ROOT)} | dict(variables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


class PipelineUnderTest:
    """One running `tidemark up`; `close` stops it and checks that it left nothing behind."""

    def __init__(
        self,
        directory: Path,
        kafka: str | None,
        redis: str | None,
        options: Sequence[str],
        variables: Mapping[str, str],
    ) -> None:
        self.directory = directory
        self.state_file = directory / "state.json"
        self.prefix = uuid.uuid4().hex[:8]
        self.topics = {name: f"{self.prefix}.usage.{name.replace('_', '-')}" for name in _TOPICS}
        self._variables = {f"TIDEMARK_TOPICS__{name.upper()}": topic for name, topic in self.topics.items()}
        self._variables |= _SETTINGS | dict(variables)
        servers = [*(["--kafka", kafka] if kafka else []), *(["--redis", redis] if redis else [])]
        files = ["--state-file", str(self.state_file), "--log-dir", str(directory / "logs")]
        self._command = [*TIDEMARK, "up", *servers, *files, *options]
        self._child: ChildProcess | None = None

    def start(self) -> Self:
        self._child = ChildProcess(
            "tidemark up",
            self._command,
            directory=self.directory,
            log=self.directory / "up.log",
            environment=clean_environment(self._variables),
        )
        self._child.wait_until(self.state_file.exists, seconds=START_SECONDS)
        return self

    def close(self) -> None:
        """Stop it as Ctrl-C would, and fail where something it started is still there."""
        if self._child is None:
            return
        pids = [pid for of_role in self.state()["pids"].values() for pid in of_role] if self.state_file.exists() else []
        self._child.stop(seconds=STOP_SECONDS)
        await_condition(lambda: not any(is_alive(pid) for pid in pids), "everything that `up` started ends", seconds=5)

    @property
    def pid(self) -> int:
        """Of `up` itself."""
        assert self._child is not None
        return self._child.pid

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.state_file.read_text())
        return state

    def pids(self, role: str) -> list[int]:
        pids: list[int] = self.state()["pids"][role]
        return pids

    def log(self) -> str:
        """The last lines of what every process wrote."""
        files = [self.directory / "up.log", *sorted((self.directory / "logs").glob("*.log"))]
        tails = [f"== {file.name}\n{file.read_text(errors='replace')[-2000:]}" for file in files if file.exists()]
        return "\n".join([*tails, *self._counts()])

    def _counts(self) -> Iterator[str]:
        """Yield what the roles counted of events and frames; one that was killed, only since."""
        health = self.state()["health"] if self.state_file.exists() else {}
        for role, addresses in health.items():
            for address in addresses:
                with contextlib.suppress(httpx.HTTPError):
                    page = httpx.get(f"http://{address}/metrics", timeout=HTTP_SECONDS).text
                    yield f"== {role}"
                    yield from (line for line in page.splitlines() if re.match(r"tidemark_\w*(events|frames)", line))

    def settings(self) -> Settings:
        """The settings that every process of the pipeline has."""
        groups: dict[str, dict[str, Any]] = {}
        for variable, value in self.state()["environment"].items():
            group, _, name = variable.removeprefix("TIDEMARK_").lower().partition("__")
            groups.setdefault(group, {})[name] = value
        # Not by `load_settings`, which would also read the variables of the tests' own process.
        settings: Settings = Settings(**cast(Any, groups))
        assert environment(settings) == self.state()["environment"]
        return settings

    def begin(self, *arguments: str | Path, stdin: int | None = None) -> subprocess.Popen[str]:
        """Start a command on this pipeline and return at once."""
        return subprocess.Popen(
            [*TIDEMARK, *map(str, arguments), "--state-file", str(self.state_file)],
            env=clean_environment({}),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
        )

    def run(self, *arguments: str | Path, seconds: float = 120, code: int = 0) -> Finished:
        """Run a command on this pipeline to its end, which must have this exit code."""
        process = self.begin(*arguments)
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        assert process.returncode == code, f"{arguments} ended with {process.returncode}:\n{out[-2000:]}\n{err[-2000:]}"
        return Finished(code=process.returncode, out=out, err=err)

    def publish(self, file: Path, *options: str) -> None:
        self.run("publish", file, *options)

    def catch_up(self, seconds: float = 60) -> None:
        """Wait until everything published so far is applied."""
        process = self.begin("wait", "--caught-up", "--timeout", f"{seconds:g}")
        out, err = process.communicate(timeout=seconds + 30)
        assert process.returncode == 0, f"{out}\n{err}\n{self.log()}"

    def export(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of `counters export`."""
        file = self.directory / "export.ndjson"
        self.run("counters", "export", "--out", file)
        with file.open("rb") as lines:
            yield from map(json.loads, lines)

    def applied(self, name: str = "events") -> int:
        """Return how many records of a topic are covered in every slot; 0 where that is not known yet."""
        settings, topic = self.settings(), self.topics[name]

        async def read() -> int:
            async with open_store(settings) as store:
                states = await read_states(store, settings.topics.frames_partitions)
            counts = max((state.source_partitions.get(topic, 0) for state in states if state), default=0)
            return sum(covered_up_to(states, topic, number) or 0 for number in range(counts))

        with contextlib.suppress(StoreUnavailable):
            return asyncio.run(read())
        return 0

    def token(self, organization: str) -> str:
        api = self.settings().api
        key = TokenKey(secret=api.jwt_secret.get_secret_value(), issuer=api.jwt_issuer, audience=api.jwt_audience)
        claims = Claims(subject=UserId("tests"), organization=OrganizationId(organization), role=Role.ADMIN)
        return issue_token(claims, key, issued_s=now_ms() // 1000, lifetime_s=600)

    def client(self, organization: str) -> httpx.Client:
        """A client of the query API with an organization's token."""
        return httpx.Client(**self._client_options(organization))

    def async_client(self, organization: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._client_options(organization))

    def _client_options(self, organization: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token(organization)}"}
        return {"base_url": self.state()["api"], "headers": headers, "timeout": HTTP_SECONDS}


_TOPICS = ("events", "directory", "frames", "dead_letters")

_SETTINGS = {
    # A killed worker's partitions move to the next one after a session; the broker allows no less than 6 s.
    "TIDEMARK_INGEST__SESSION_TIMEOUT": "6s",
    "TIDEMARK_AGGREGATOR__SESSION_TIMEOUT": "6s",
    # A machine that is busy answers late, and how late is asked by no test with a whole pipeline.
    "TIDEMARK_API__REQUEST_TIMEOUT": "10s",
    "TIDEMARK_API__REDIS_TIMEOUT": "5s",
}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.contextmanager
def running_pipeline(
    directory: Path,
    kafka: str | None,
    redis: str | None,
    *options: str,
    before_start: Callable[[PipelineUnderTest], None] = lambda _: None,
    **variables: str,
) -> Iterator[PipelineUnderTest]:
    """Start a pipeline on given or embedded servers; keyword arguments are settings, `group__name`."""
    named = {f"TIDEMARK_{name.upper()}": value for name, value in variables.items()}
    pipeline = PipelineUnderTest(directory, kafka, redis, options, named)
    before_start(pipeline)
    try:
        yield pipeline.start()
    finally:
        pipeline.close()
