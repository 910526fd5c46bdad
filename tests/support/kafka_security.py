"""How the links of a Kafka cluster are secured: not at all, or by TLS, SCRAM and lists of what each user may do.

Clients and brokers talk to brokers by SASL_SSL, brokers to the controller by mutual TLS.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from tests.support.certificates import Authority, Certificate

ADMIN: Final = "admin"
BROKER: Final = "broker"
_SCRAM: Final = "SCRAM-SHA-512"
_JAAS: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required"


class Security(Protocol):
    """What a node's configuration gets, and what a client needs."""

    @property
    def listener(self) -> str:
        """The name of the brokers' listener, which is its protocol."""
        ...

    def of_broker(self) -> Mapping[str, str]: ...
    def of_controller(self) -> Mapping[str, str]: ...

    def format_options(self) -> Sequence[str]:
        """Return options of the storage tool for the controller."""
        ...

    def as_admin(self) -> Mapping[str, Any]:
        """Return the settings of the group `kafka` of a client that may do everything, but for the address."""
        ...


class _Plain:
    listener = "PLAINTEXT"

    def of_broker(self) -> Mapping[str, str]:
        return {}

    def of_controller(self) -> Mapping[str, str]:
        return {}

    def format_options(self) -> Sequence[str]:
        return ()

    def as_admin(self) -> Mapping[str, Any]:
        return {}


PLAIN: Final = _Plain()


class Secured:
    """TLS with certificates of an authority of its own, and users by SCRAM.

    Args:
        directory: for certificates.
        passwords: user -> password, beside `admin` and `broker`, who may do everything.
        authorizing: whether other users may do only what a list allows; else all may do all.
    """

    listener = "SASL_SSL"

    def __init__(self, directory: Path, passwords: Mapping[str, str], *, authorizing: bool) -> None:
        self.authority = Authority(directory)
        self.passwords = {ADMIN: f"{ADMIN}-of-the-tests", BROKER: f"{BROKER}-of-the-tests", **passwords}
        self._authorizing = authorizing
        self._server = self.authority.certificate(BROKER)

    def as_user(self, name: str) -> dict[str, Any]:
        """Return the settings of the group `kafka` of a user's client."""
        return {
            "security_protocol": self.listener,
            "sasl_mechanism": _SCRAM,
            "sasl_username": name,
            "sasl_password": self.passwords[name],
            "ssl_ca_file": str(self.authority.file),
        }

    def as_admin(self) -> Mapping[str, Any]:
        return self.as_user(ADMIN)

    def format_options(self) -> Sequence[str]:
        return [
            option
            for name, password in self.passwords.items()
            for option in ("--add-scram", f"{_SCRAM}=[name={name},password={password}]")
        ]

    def of_controller(self) -> Mapping[str, str]:
        return self._of_all()

    def of_broker(self) -> Mapping[str, str]:
        listener = f"listener.name.{self.listener.lower()}"
        jaas = f'{_JAAS} username="{BROKER}" password="{self.passwords[BROKER]}";'
        return {
            **self._of_all(),
            "inter.broker.listener.name": self.listener,
            "sasl.mechanism.inter.broker.protocol": _SCRAM,
            "sasl.enabled.mechanisms": _SCRAM,
            f"{listener}.{_SCRAM.lower()}.sasl.jaas.config": jaas,
        }

    def _of_all(self) -> dict[str, str]:
        return {
            "listener.security.protocol.map": f"CONTROLLER:SSL,{self.listener}:SASL_SSL",
            **pem_stores("", self._server, self.authority),
            "listener.name.controller.ssl.client.auth": "required",
            **(self._lists() if self._authorizing else {}),
        }

    def _lists(self) -> dict[str, str]:
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Brokers come to the controller by their certificate, to each other by their name.
            "super.users": f"User:{ADMIN};User:{BROKER};User:CN={BROKER}",
        }


def pem_stores(prefix: str, shown: Certificate, trusted: Authority) -> dict[str, str]:
    """Return a listener's certificate, and whom it trusts."""
    return {
        f"{prefix}ssl.keystore.type": "PEM",
        f"{prefix}ssl.keystore.location": str(shown.both),
        f"{prefix}ssl.truststore.type": "PEM",
        f"{prefix}ssl.truststore.location": str(trusted.file),
    }
