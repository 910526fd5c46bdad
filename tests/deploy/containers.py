"""The services of deploy/compose.yaml that run our image, as processes in the replayed tree."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from services.health_probe import readiness
from tests.deploy.composed_servers import ComposedKafka, ComposedValkey
from tests.deploy.composition import environment, service
from tests.deploy.replay import Built
from tests.support.child_process import ChildProcess
from tests.support.pipeline import await_condition
from tests.support.ports import LOOPBACK, free_ports

READY_SECONDS: Final = 60
STOP_SECONDS: Final = 30
SECRETS: Final = "/run/secrets/tidemark"
_HEALTH_PORT: Final = "8081"


class Composition:
    """Our containers: entry point, user and variables of the image, command and variables of the service, the secrets.

    What differs from Compose: they share this machine's network, so that names become its addresses and each has ports
    of its own. The tree is read-only, `/tmp` is in memory.

    Args:
        secrets: the file that is mounted.
        directory: for logs.
    """

    def __init__(
        self, built: Built, secrets: Path, kafka: ComposedKafka, valkey: ComposedValkey, directory: Path
    ) -> None:
        self.built = built
        self.kafka = kafka
        self.valkey = valkey
        self.directory = directory
        self.api_port = free_ports(1)[0]
        self._addresses = {
            "kafka:19092": kafka.bootstrap,
            "valkey:6379": f"{LOOPBACK}:{valkey.port}",
            "api:8080": f"{LOOPBACK}:{self.api_port}",
        }
        built.tree.bind(secrets, SECRETS)

    def variables(self, name: str, health_port: int | None = None) -> dict[str, str]:
        """Return all variables of a container."""
        found = {variable: self._here(value) for variable, value in environment(name).items()}
        if health_port is not None:
            image = self.built.image.environment
            found |= {variable: str(health_port) for variable, value in image.items() if value == _HEALTH_PORT}
            found["TIDEMARK_API__PORT"] = str(self.api_port)
        return self.built.environment(found)

    def run(self, name: str, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in a container of a service to its end."""
        image = self.built.image
        program = [*image.entrypoint, *arguments]
        return self.built.tree.run(
            program, self.variables(name), user=image.user, workdir=image.workdir, seconds=seconds
        )

    def start(self, name: str) -> "Container":
        return Container(self, name)

    def _here(self, value: str) -> str:
        for there, here in self._addresses.items():
            value = value.replace(there, here)
        return value


class Container:
    """A started service of ours."""

    def __init__(self, composition: Composition, name: str) -> None:
        self.name = name
        self.health_port = free_ports(1)[0]
        self._built = built = composition.built
        self._variables = composition.variables(name, self.health_port)
        self._child = ChildProcess(
            name,
            built.tree.command(
                [*built.image.entrypoint, *service(name)["command"]], user=built.image.user, workdir=built.image.workdir
            ),
            directory=composition.directory,
            log=composition.directory / f"{name}.log",
            environment=self._variables,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def health(self) -> str:
        return f"{LOOPBACK}:{self.health_port}"

    def await_ready(self) -> None:
        def ready() -> bool:
            assert self._child.running, f"{self.name} ended:\n{self._child.tail()}"
            return asyncio.run(readiness(self.health)) is None

        await_condition(ready, f"{self.name} is ready", seconds=READY_SECONDS, every=0.2)

    def check_health(self) -> subprocess.CompletedProcess[str]:
        """Run the image's health check in the container, on the port that stands for the image's."""
        words = [word.replace(_HEALTH_PORT, str(self.health_port)) for word in self._built.image.healthcheck]
        return self._built.tree.run(words, self._variables, user=self._built.image.user)

    def written(self) -> str:
        return self._child.written()

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once, as an engine does."""
        os.kill(self.pid, signal.SIGTERM)

    def ended(self) -> int | None:
        """Return the exit code, when it has ended."""
        await_condition(lambda: not self._child.running, f"{self.name} ends", seconds=STOP_SECONDS)
        return self._child.exit_code

    def kill(self) -> None:
        self._child.kill()
