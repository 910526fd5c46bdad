"""The pods of the chart as processes on this machine: their own commands and variables, their probes, their stop.

What a kubelet does beyond that (images, mounts, users, networks) is not here.
"""

import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from tests.deploy.chart import EXAMPLES, Manifest, pod_specs, render
from tests.deploy.chart_pods import Pod, pods
from tests.support.child_process import ChildProcess
from tests.support.pipeline import ROOT, TIDEMARK, await_condition, clean_environment
from tests.support.ports import free_ports
from tests.support.servers import Broker

ROLES = ("ingest", "aggregator", "api", "canary")
ANOTHER_ADDRESS = "127.0.0.2"
"""Reached as a pod's own address would be: by who listens on all of them, and not on 127.0.0.1 alone."""

START_SECONDS = 60

pytestmark = [pytest.mark.deploy, pytest.mark.guarantee]


class Started:
    """The pods of one release that run here."""

    def __init__(self, directory: Path, kafka: str, redis: str) -> None:
        self._directory = directory
        ports = free_ports(len(ROLES) + 1)
        self.ports = dict(zip(ROLES, ports, strict=False))
        self.api_port = ports[-1]
        prefix = uuid.uuid4().hex[:8]
        self._sets = [
            f"settings.kafka.bootstrap_servers={kafka}",
            f"settings.redis.url={redis}",
            *(f"settings.topics.{name}={prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")),
            "settings.topics.frames_partitions=4",
            "settings.canary.interval=1s",
            "settings.canary.lookback=0s",
            f"api.port={self.api_port}",
            "canary.enabled=true",
        ]
        self.running: dict[str, ChildProcess] = {}

    def rendered(self, role: str) -> tuple[Manifest, ...]:
        # All pods are on one machine here: each role has its port.
        return render(EXAMPLES["minimal"], sets=[*self._sets, f"healthPort={self.ports.get(role, 8081)}"])

    def run_hook(self) -> subprocess.CompletedProcess[str]:
        pod = pods(self.rendered("topics"))["topics"]
        return subprocess.run(
            [*TIDEMARK, *pod.arguments],
            env=clean_environment(pod.variables()),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=ROOT,
        )

    def start(self, role: str) -> None:
        pod = pods(self.rendered(role))[role]
        self.running[role] = ChildProcess(
            role,
            [*TIDEMARK, *pod.arguments],
            directory=ROOT,
            log=self._directory / f"{role}.log",
            environment=clean_environment(self._variables(pod)),
        )

    def _variables(self, pod: Pod) -> Mapping[str, str]:
        """A pod's variables, but for the name of a service, which nobody resolves here."""
        here = {"TIDEMARK_CANARY__API_URL": f"http://{ANOTHER_ADDRESS}:{self.api_port}"}
        return pod.variables() | {name: value for name, value in here.items() if name in pod.given}

    def container(self, role: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = dict(pod_specs(self.rendered(role)))[role]["containers"][0]
        return found

    def await_probe(self, role: str, probe: str) -> None:
        """Wait until a probe of a role succeeds."""
        container = self.container(role)
        asked, ports = container[probe], {port["name"]: port["containerPort"] for port in container["ports"]}
        address = f"http://{ANOTHER_ADDRESS}:{ports[asked['httpGet']['port']]}{asked['httpGet']['path']}"
        process = self.running[role]
        await_condition(lambda: status(address) == 200, f"{role} {probe}:\n{process.tail()}", seconds=START_SECONDS)

    def close(self) -> None:
        for process in self.running.values():
            process.kill()


@pytest.fixture(scope="module")
def started(kafka: Broker, redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    pods_here = Started(tmp_path_factory.mktemp("pods"), kafka.bootstrap, redis_server.url_of_database(0))
    hook = pods_here.run_hook()
    assert hook.returncode == 0, hook.stderr
    assert hook.stdout.count("created") == 4
    for role in ROLES:
        pods_here.start(role)
    try:
        yield pods_here
    finally:
        pods_here.close()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_starts_as_its_pod_and_its_probes_succeed(started: Started, role: str) -> None:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        started.await_probe(role, probe)


def test_the_canary_sees_its_events_counted(started: Started) -> None:
    """So the variables of all pods fit together: topics, identity, tokens, addresses."""
    page = f"http://{ANOTHER_ADDRESS}:{started.ports['canary']}/metrics"
    seen = 'tidemark_canary_events_total{result="seen"}'
    await_condition(lambda: seen in text(page), started.running["canary"].tail(), seconds=60)


def test_the_hook_runs_again_before_an_upgrade(started: Started) -> None:
    again = started.run_hook()
    assert again.returncode == 0, again.stderr
    assert "all four topics are there" in again.stdout


def status(address: str) -> int | None:
    try:
        with urlopen(address, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
    except (URLError, OSError):
        return None


def text(address: str) -> str:
    with suppress(URLError, OSError), urlopen(address, timeout=5) as answer:
        return str(answer.read().decode())
    return ""
