"""One broker with a listener of each kind, good and bad, to see what a client that is set up wrong is told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.certificates import Authority, Certificate
from tests.support.kafka_security import pem_stores
from tests.support.kafka_server import KafkaServer
from tests.support.ports import LOOPBACK, free_ports

PLAIN, TLS, MUTUAL, EXPIRED, OTHER_HOST, SASL, SASL_TLS = (
    "plain",
    "tls",
    "mutual",
    "expired",
    "otherhost",
    "sasl",
    "sasltls",
)
_PROTOCOLS: Final = {
    PLAIN: "PLAINTEXT",
    TLS: "SSL",
    MUTUAL: "SSL",
    EXPIRED: "SSL",
    OTHER_HOST: "SSL",
    SASL: "SASL_PLAINTEXT",
    SASL_TLS: "SASL_SSL",
}
USER, PASSWORD = "reader", "the-password-of-reader"
_JAAS: Final = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'


class ManyListeners(KafkaServer):
    """`address` says where each listener is."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        super().__init__(directory)
        self._ports = dict(zip(_PROTOCOLS, free_ports(len(_PROTOCOLS)), strict=True))
        good = authority.certificate("kafka")
        self._certificates: Mapping[str, Certificate] = {
            TLS: good,
            MUTUAL: good,
            SASL_TLS: good,
            EXPIRED: authority.certificate("expired", days=-3),
            OTHER_HOST: authority.certificate("otherhost", host="kafka.example"),
        }
        self._authority = authority

    def address(self, listener: str) -> str:
        return f"{LOOPBACK}:{self._ports[listener]}"

    def _settings(self) -> dict[str, str]:
        settings = super()._settings()
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **_PROTOCOLS}
        for name in _PROTOCOLS:
            settings["listeners"] += f",{name}://{self.address(name)}"
            settings["advertised.listeners"] += f",{name}://{self.address(name)}"
        for name, shown in self._certificates.items():
            settings |= pem_stores(f"listener.name.{name}.", shown, self._authority)
        for name in (SASL, SASL_TLS):
            settings[f"listener.name.{name}.sasl.enabled.mechanisms"] = "PLAIN"
            settings[f"listener.name.{name}.plain.sasl.jaas.config"] = _JAAS
        return settings | {
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name}:{each}" for name, each in protocols.items()),
            f"listener.name.{MUTUAL}.ssl.client.auth": "required",
        }
