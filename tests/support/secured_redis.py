"""A Redis that listens by TLS only, asks clients for a certificate, and knows only users of a list."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.certificates import Authority, Certificate
from tests.support.ports import LOOPBACK, free_ports, listens
from tests.support.redis_server import RedisServer, installed_redis

ADMIN = "admin"


class SecuredRedis(RedisServer):
    """Besides the users of the list there is `admin`, who may do everything; the user `default` is off."""

    def __init__(
        self,
        program: Path,
        directory: Path,
        port: int,
        arguments: Sequence[str] = (),
        *,
        authority: Authority,
        shown: Certificate,
        passwords: dict[str, str],
        users: Sequence[str] = (),
        wants_certificate: bool = True,
    ) -> None:
        super().__init__(program, directory, port, arguments)
        self.authority = authority
        self.passwords = {ADMIN: f"{ADMIN}-of-this-redis", **passwords}
        self._shown = shown
        self._admins = authority.certificate(f"redis-{ADMIN}")
        self._wants_certificate = wants_certificate
        lines = ["user default off", f"user {ADMIN} on {hashed(self.passwords[ADMIN])} ~* &* +@all", *users]
        self._users = directory / "users.acl"
        self._users.write_text("\n".join(lines) + "\n")

    @classmethod
    def start_with(cls, directory: Path, **options: Any) -> Self:
        """Start one in a directory; keyword arguments are those of the class."""
        program = installed_redis()
        assert program is not None, "no redis-server or valkey-server on the PATH"
        directory.mkdir(parents=True, exist_ok=True)
        server = cls(program, directory, free_ports(1)[0], **options)
        server.start()
        return server

    @property
    def url(self) -> str:
        return f"rediss://{LOOPBACK}:{self.port}/0"

    def as_admin(self) -> redis.Redis:
        """Return a client that may do everything; its `with` closes it."""
        return redis.Redis(
            port=self.port,
            host=LOOPBACK,
            username=ADMIN,
            password=self.passwords[ADMIN],
            ssl=True,
            # Servers with bad certificates are to be started too.
            ssl_cert_reqs="none",
            ssl_check_hostname=False,
            ssl_certfile=str(self._admins.certificate),
            ssl_keyfile=str(self._admins.key),
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
        )

    def _arguments(self) -> list[str | Path]:
        plain = super()._arguments()
        plain[plain.index("--port") + 1] = "0"
        files = ("--tls-cert-file", self._shown.certificate, "--tls-key-file", self._shown.key)
        trusted = ("--tls-ca-cert-file", self.authority.file)
        asked = ("--tls-auth-clients", "yes" if self._wants_certificate else "no")
        return [*plain, "--tls-port", str(self.port), *files, *trusted, *asked, "--aclfile", self._users]

    def _ready(self) -> bool:
        if not listens(self.pid, self.port):
            return False
        try:
            with self.as_admin() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def hashed(password: str) -> str:
    """Return a password as lists of users have it."""
    return f"#{sha256(password.encode()).hexdigest()}"
