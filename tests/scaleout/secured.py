"""Three brokers with TLS, SCRAM and lists, a Redis with mutual TLS and users, and a deployment that has every link so.

Each role has a Kafka user of its own, the query API a Redis user of its own; every secret comes from a file.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Final, Self

from services.settings import KafkaSettings
from tests.scaleout.listed import kafka_lists, redis_users
from tests.support.deployment import Deployment
from tests.support.kafka_acls import give
from tests.support.kafka_cluster import BROKERS, KafkaCluster
from tests.support.kafka_security import Secured
from tests.support.on_stack import OnStack
from tests.support.ports import free_ports
from tests.support.secured_redis import SecuredRedis
from tests.support.worker import Worker

OPERATOR: Final = "tidemark-operator"
PRODUCERS: Final = "producers"
HALFWAY: Final = "halfway"
"""Whom no list names: a test may give it something."""

USERS: Final = ("tidemark-ingest", "tidemark-aggregator", "tidemark-api", OPERATOR, PRODUCERS, HALFWAY)
REDIS_USERS: Final = ("tidemark", "tidemark-api")
ROLES: Final = ("ingest", "ingest", "aggregator", "aggregator", "api")


class SecuredServers(OnStack):
    """Servers, certificates, and a file for each secret. Use it as a context manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.secrets: dict[str, str] = {}
        super().__init__()

    def _start(self) -> None:
        security = Secured(self.directory / "kafka-pki", {user: self.secret(user) for user in USERS}, authorizing=True)
        self.kafka = KafkaCluster.start_new(security)
        self._stack.callback(self.kafka.close)
        self.security = security
        passwords = {user: self.secret(f"redis-{user}") for user in REDIS_USERS}
        authority = security.authority
        self.redis = SecuredRedis.start_with(
            self.directory / "redis",
            authority=authority,
            shown=authority.certificate("redis"),
            passwords=passwords,
            users=redis_users(passwords),
        )
        self._stack.callback(self.redis.close)

    def secret(self, name: str) -> str:
        """Return a secret, which stands in the file `file_of(name)` too."""
        if name not in self.secrets:
            self.secrets[name] = token_hex(20)
            self.file_of(name).write_text(self.secrets[name] + "\n")
        return self.secrets[name]

    def file_of(self, name: str) -> Path:
        return self.directory / f"{name}.secret"

    def kafka_as(self, user: str) -> dict[str, str]:
        return {"kafka__sasl_username": user, "kafka__sasl_password_file": str(self.file_of(user))}

    def redis_as(self, user: str) -> dict[str, str]:
        return {"redis__username": user, "redis__password_file": str(self.file_of(f"redis-{user}"))}

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """Of an operator, `group__name` -> value."""
        shown = self.security.authority.certificate("tidemark")
        for name in ("identity", "jwt"):
            self.secret(name)
        return MappingProxyType(
            {
                "kafka__security_protocol": "SASL_SSL",
                "kafka__ssl_ca_file": str(self.security.authority.file),
                **self.kafka_as(OPERATOR),
                "redis__ssl_ca_file": str(self.security.authority.file),
                "redis__ssl_certificate_file": str(shown.certificate),
                "redis__ssl_key_file": str(shown.key),
                **self.redis_as("tidemark"),
                "events__identity_secret_file": str(self.file_of("identity")),
                "api__jwt_secret_file": str(self.file_of("jwt")),
                "topics__replication": str(BROKERS),
            }
        )


class SecuredDeployment(Deployment):
    """A deployment whose roles are the users of the page."""

    def __init__(self, servers: SecuredServers, directory: Path, **settings: str) -> None:
        self.servers = servers
        named = dict(servers.settings) | {"api__port": str(free_ports(1)[0])} | settings
        super().__init__(directory, servers.kafka.bootstrap, servers.redis.url, **named)

    def begin(self) -> Self:
        give(self.servers.kafka, kafka_lists(self.settings))
        return super().begin()

    def secured_worker(self, role: str) -> Worker:
        """Return one more process of a role, as its users, not started."""
        users = self.servers.kafka_as(f"tidemark-{role}")
        if role == "api":
            users |= self.servers.redis_as("tidemark-api")
        return self.worker(role, variables=users)

    @property
    def producers(self) -> KafkaSettings:
        """How product services connect."""
        kafka, name = self.settings.kafka, PRODUCERS
        return kafka.model_validate(
            kafka.model_dump()
            | {"sasl_username": name, "sasl_password": None, "sasl_password_file": self.servers.file_of(name)}
        )
