"""Kafka and Valkey as deploy/compose.yaml has them, on ports and directories of this machine.

What the official images do at their start is done by the same parts: Apache Kafka's own `KafkaDockerWrapper` makes its
configuration of the variables and formats its storage; Valkey is given the service's command.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.deploy.composition import environment, service
from tests.support.child_process import ServerDidNotStart
from tests.support.kafka_server import NOTHING, KafkaServer
from tests.support.ports import LOOPBACK, free_ports
from tests.support.redis_server import RedisServer

_WRAPPER_SECONDS: Final = 60
_LOGGING: Final = """
Configuration:
  Appenders: {Console: {name: STDOUT, PatternLayout: {pattern: "%m%n"}}}
  Loggers: {Root: {level: INFO, AppenderRef: [{ref: STDOUT}]}, Logger: [{name: kafka, level: INFO}]}
"""
"""The wrapper reads two such files, that lie in the image."""


class ComposedKafka(KafkaServer):
    """The service `kafka`; `bootstrap` is the listener for the other containers."""

    def __init__(self, directory: Path, *, extra: Mapping[str, str] = NOTHING) -> None:
        super().__init__(directory, extra=extra)
        self.host_port = free_ports(1)[0]

    def _format(self, configuration: Path) -> None:
        places = {name: self.directory / name for name in ("default", "mounted", "final")}
        for place in places.values():
            place.mkdir()
        for name in ("log4j2.yaml", "tools-log4j2.yaml"):
            (places["default"] / name).write_text(_LOGGING)
        (places["default"] / "server.properties").touch()
        arguments = [word for name, place in places.items() for word in (f"--{name}-configs-dir", str(place))]
        done = subprocess.run(
            [*self._java(), "-XX:TieredStopAtLevel=1", "kafka.docker.KafkaDockerWrapper", "setup", *arguments],
            env=self._variables(),
            capture_output=True,
            text=True,
            timeout=_WRAPPER_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ServerDidNotStart(f"the image would refuse its variables:\n{(done.stdout + done.stderr)[-3000:]}")
        (places["final"] / "server.properties").rename(configuration)

    def _variables(self) -> dict[str, str]:
        """Return the service's variables, its addresses and directory being others here."""
        ports = {"19092": self.port, "9092": self.host_port, "9093": self.controller_port}

        def here(address: re.Match[str]) -> str:
            return f"{address[1] or ''}{LOOPBACK}:{ports[address[2]]}"

        variables = environment("kafka")
        assert variables["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"
        moved = {
            name: re.sub(r"(?:(//):|\bkafka:|127\.0\.0\.1:)(19092|9092|9093)\b", here, value)
            for name, value in variables.items()
        }
        return moved | {"KAFKA_LOG_DIRS": str(self.directory / "data")}


class ComposedValkey(RedisServer):
    """The service `valkey`: its command, on a port and a directory of its own."""

    def _arguments(self) -> list[str | Path]:
        program, *arguments = service("valkey")["command"]
        assert program == "valkey-server"
        place = ["--bind", LOOPBACK, "--port", str(self.port), "--dir", str(self.directory)]
        return [self.program, *place, *arguments]
