"""One Apache Kafka process (KRaft, broker and controller in one) on free ports and a directory of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from tests.support.child_process import ChildProcess, ServerDidNotStart
from tests.support.kafka_jars import java, resolve
from tests.support.ports import LOOPBACK, free_ports, listens

_START_SECONDS = 90
_FORMAT_SECONDS = 60
_ATTEMPTS = 3
_STARTED = "Kafka Server started"
_LOGGING = Path(__file__).with_name("kafka") / "log4j2.properties"
NOTHING: Mapping[str, str] = MappingProxyType({})


def new_uuid() -> str:
    """Return an id as Kafka writes them: none that its tools would take for an option."""
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def write_properties(file: Path, properties: Mapping[str, str]) -> None:
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


class KafkaServer:
    """One broker; `start` after `stop` or `kill` takes up the same log directory and ports.

    `extra` holds broker settings that override the ones here, such as `advertised.listeners` for a proxy between.
    """

    jvm: Sequence[str] = ("-Xmx512m", "-XX:+UseSerialGC")

    def __init__(self, directory: Path, *, extra: Mapping[str, str] = NOTHING) -> None:
        self.directory = directory
        self.port, self.controller_port = free_ports(2)
        self._cluster_id = new_uuid()
        self._extra = extra
        self._child: ChildProcess | None = None
        self._owns_directory = False

    @classmethod
    def start_new(cls, *, extra: Mapping[str, str] = NOTHING) -> Self:
        """Start one in a new temporary directory, which `close` (or the end of `with`) removes."""
        for attempt in range(1, _ATTEMPTS + 1):
            server = cls(Path(tempfile.mkdtemp(prefix="tidemark-kafka-")), extra=extra)
            server._owns_directory = True
            try:
                server.start()
            except ServerDidNotStart:  # the likeliest cause is that somebody took a port in between
                server.close()
                if attempt == _ATTEMPTS:
                    raise
            except BaseException:
                server.close()
                raise
            else:
                return server
        raise AssertionError("unreachable")

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ServerDidNotStart("Kafka was never started")
        return self._child.pid

    def start(self) -> None:
        """Start on the same directory and ports; return when the broker serves."""
        self.begin()
        self.await_started()

    def begin(self) -> None:
        """Start on the same directory and ports, and return at once."""
        configuration = self.directory / "server.properties"
        if not configuration.exists():
            self._format(configuration)
        self._child = ChildProcess(
            "Apache Kafka",
            [*self._java(), *self.jvm, "kafka.Kafka", configuration],
            directory=self.directory,
            log=self.directory / "log",
        )

    def await_started(self) -> None:
        """Return when what was begun serves."""
        if self._child is None:
            raise ServerDidNotStart("Kafka was never started")
        self._child.wait_until(self._ready, seconds=_START_SECONDS)

    def _ready(self) -> bool:
        return self._child is not None and _STARTED in self._child.written() and listens(self.pid, self._serves_at())

    def _serves_at(self) -> int:
        return self.port

    def _java(self) -> list[str]:
        return [str(java()), "-cp", f"{resolve()}/*", f"-Dlog4j2.configurationFile={_LOGGING}"]

    def _format(self, configuration: Path) -> None:
        write_properties(configuration, self._settings())
        # A short-lived JVM: the quick compiler alone starts it in half the time.
        tool = [*self._java(), "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "--standalone"]
        command = [*tool, *self._format_options(), "--config", str(configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_SECONDS, check=False)
        if done.returncode != 0:
            configuration.unlink()
            raise ServerDidNotStart(f"Kafka's storage could not be formatted:\n{(done.stdout + done.stderr)[-3000:]}")

    def _format_options(self) -> list[str]:
        return ["--cluster-id", self._cluster_id]

    def _settings(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": str(self.directory / "data"),
            # Topics are Tidemark's own step: a misspelt name shall fail, not appear with one partition.
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A killed worker's partitions move when its session has ended, and tests may not want to wait 6 s for it.
            "group.min.session.timeout.ms": "1000",
            # A killed broker is taken back only when its last session has ended: 9 s by default.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "1000",
            "num.network.threads": "2",
            "num.io.threads": "4",
            **self._extra,
        }

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def freeze(self) -> None:
        """Let it do nothing more (SIGSTOP), its connections staying open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop it, and remove the directory where it was made for it."""
        if self._owns_directory:
            self.kill()  # nobody reads the data again: an ordered stop would cost seconds
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
