"""By what a connection to Redis proves who it is, and whom it trusts: user, password and TLS out of the settings."""

import ssl
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.exceptions import AuthenticationError, ConnectionError

from services.listeners import WrongListener, said_after_tls, speaks_plain, speaks_tls
from services.settings import RedisSettings
from services.tls import REDIS, client_context


class PlainConnection(Connection):
    """A connection without TLS; where the server speaks TLS, its error says so."""

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        try:
            await super().on_connect_check_health(check_health)
        except ConnectionError as error:
            if isinstance(error, AuthenticationError) or not await speaks_tls(self.host, self.port):
                raise
            raise ConnectionError("it speaks TLS") from WrongListener(
                f"Redis speaks TLS at {self.host}:{self.port}: begin {REDIS.variable('url')} with rediss://, or name"
                " the port that does not"
            )


class TrustingConnection(SSLConnection):
    """A TLS connection that trusts whom our context trusts; where the server speaks none, its error says so.

    The client's own context trusts all authorities of the machine beside the one that it is given.
    """

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls
        self._tls = tls

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        try:
            await super().on_connect_check_health(check_health)
        except ConnectionError as error:
            if isinstance(error, AuthenticationError):
                raise
            refused = await said_after_tls(self.host, self.port, self._tls)
            if refused is None:
                raise
            raise ConnectionError(f"it hung up: {refused}") from refused

    async def _connect(self) -> None:
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError) as error:
            # Redis waits for the end of a line, which TLS may never send.
            if _is_said_by_tls(error) or not await speaks_plain(self.host, self.port, b"PING\r\n", _is_its_answer):
                raise
            raise WrongListener(f"Redis does not speak TLS at {self.host}:{self.port}: {REDIS.plain}") from error


def _is_its_answer(first_bytes: bytes) -> bool:
    return first_bytes[:1] in (b"+", b"-")


def _is_said_by_tls(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLCertVerificationError | ConnectionRefusedError)


def secure(pool: ConnectionPool, settings: RedisSettings) -> None:
    """Let the connections that a pool will make use what the settings say."""
    pool.connection_kwargs |= {
        "username": settings.username,
        "password": settings.password.get_secret_value() if settings.password else None,
    }
    scheme = urlsplit(settings.url).scheme.removesuffix("+cluster")
    if scheme == "redis":
        pool.connection_class = PlainConnection
    elif scheme == "rediss":
        pool.connection_class = TrustingConnection
        pool.connection_kwargs["tls"] = client_context(
            settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file
        )
