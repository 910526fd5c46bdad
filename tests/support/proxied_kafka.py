"""An Apache Kafka broker with two doors: one as it is, and one behind a proxy that may delay, lose and cut."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.kafka_server import NOTHING, KafkaServer
from tests.support.ports import LOOPBACK, free_ports
from tests.support.tcp_proxy import TcpProxy


class ProxiedKafka(KafkaServer):
    """Who begins at `proxied` meets the proxy ever after: the broker gives that address to those who come that way."""

    def __init__(self, directory: Path, *, extra: Mapping[str, str] = NOTHING) -> None:
        super().__init__(directory, extra=extra)
        self._inner_port = free_ports(1)[0]
        self.proxy = TcpProxy(self._inner_port).start()

    @property
    def proxied(self) -> str:
        """The bootstrap address behind the proxy."""
        return self.proxy.address

    def heal(self) -> None:
        """Start it where it is down, thaw it, and let everything through again."""
        self.proxy.restore()
        if self.running:
            self.thaw()
        else:
            self.start()

    def close(self) -> None:
        super().close()
        self.proxy.close()

    def _settings(self) -> dict[str, str]:
        settings = super()._settings()
        settings["listeners"] += f",PROXIED://{LOOPBACK}:{self._inner_port}"
        settings["advertised.listeners"] += f",PROXIED://{self.proxied}"
        protocols = ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "PROXIED", "CONTROLLER"))
        return settings | {
            "listener.security.protocol.map": protocols,
            "inter.broker.listener.name": "PLAINTEXT",
            **self._extra,
        }
