"""Redis clients built from the settings, and the one place that translates their errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from services.counters import StoreRefused, StoreUnavailable
from services.hang_ups import is_hang_up
from services.redis_link import secure
from services.redis_permissions import is_forbidden
from services.settings import RedisSettings
from services.tls import REDIS, why_refused

_PASSING = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ReadOnlyError,
    OutOfMemoryError,
    ClusterDownError,
    TryAgainError,
    NoScriptError,  # twice in a row: the server changed between loading and calling
    OSError,
)
_PASSING_ANSWER = re.compile(
    r"(?:^|: -)(?:LOADING|READONLY|OOM|BUSY|MASTERDOWN|NOREPLICAS|MISCONF|CLUSTERDOWN|TRYAGAIN|NOSCRIPT)\b"
)
"""At the start; in Redis 6.2 what a script was answered stands behind its place: `…_script: 12: -READONLY …`."""

STRANGER = (
    "somebody else writes under Tidemark's keys; stop that, and restore a backup of Redis or run `tidemark rebuild`"
)
_ANOTHER_TYPE = re.compile(r"(?:^|: )-?WRONGTYPE\b")


@contextmanager
def translated() -> Iterator[None]:
    """Turn a client error into `StoreUnavailable` (may pass) or `StoreRefused` (will not)."""
    try:
        yield
    except (AuthenticationError, AuthorizationError) as error:
        raise StoreRefused(
            f"Redis refused the user or password ({error}): correct TIDEMARK_REDIS__USERNAME and"
            " TIDEMARK_REDIS__PASSWORD (or the file that TIDEMARK_REDIS__PASSWORD_FILE names)"
        ) from error
    except _PASSING as error:
        if (why := why_refused(error, REDIS)) is not None:
            raise StoreRefused(why) from error
        raise StoreUnavailable(f"Redis is away: {error}") from error
    except ResponseError as error:
        if isinstance(error, NoPermissionError) or is_forbidden(str(error)):
            raise StoreRefused(
                f"Redis does not let this user do it: {error}; give the ACL user what deploy/docs/security.md lists"
            ) from error
        if _PASSING_ANSWER.search(str(error)):
            raise StoreUnavailable(f"Redis cannot do it now: {error}") from error
        if _ANOTHER_TYPE.search(str(error)):
            raise StoreRefused(f"Redis holds another type of value under a key of Tidemark's: {STRANGER}") from error
        raise StoreRefused(f"Redis refused a command: {error}") from error
    except RedisError as error:
        raise StoreRefused(f"Redis failed: {error}") from error
    except RuntimeError as error:
        if not is_hang_up(error):
            raise
        raise StoreUnavailable(f"Redis is away: {error}") from error


def connect(
    settings: RedisSettings, *, timeout_s: float | None = None, connections: int = 16, name: str = "tidemark"
) -> Redis:
    """Return a client; nothing is sent before its first call, and it retries nothing by itself.

    Args:
        timeout_s: of one call, of waiting for a connection, and of connecting; the settings' if None.
        connections: the most at once.
        name: shown by CLIENT LIST.
    """
    timeout = settings.timeout if timeout_s is None else timeout_s
    return Redis.from_pool(
        connection_pool(settings, timeout_s=timeout, connections=connections, name=name, socket_timeout_s=timeout)
    )


async def answers(settings: RedisSettings, *, timeout_s: float) -> None:
    """Return once Redis answers, on a connection made for the question.

    Raises:
        StoreUnavailable, StoreRefused: it does not.
    """
    client = connect(settings, timeout_s=timeout_s, connections=1, name="tidemark-watchdog")
    try:
        with translated():
            await client.ping()
    finally:
        await client.aclose()


def connection_pool(
    settings: RedisSettings, *, timeout_s: float, connections: int, name: str, socket_timeout_s: float | None
) -> BlockingConnectionPool:
    """Return a pool.

    Args:
        timeout_s: of waiting for a connection, and of connecting.
        socket_timeout_s: of each write and each read; None where the caller limits them.
    """
    pool = BlockingConnectionPool.from_url(
        settings.url,
        max_connections=connections,
        timeout=timeout_s,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        client_name=name,
    )
    secure(pool, settings)
    return pool
