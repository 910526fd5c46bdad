"""Redis clients built from the settings, and the one place that translates their errors."""

import asyncio
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
    MovedError,
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
from services.redis_cluster import ClusterClient
from services.redis_link import secure
from services.redis_permissions import is_forbidden
from services.redis_urls import Address, read_cluster_url
from services.settings import RedisSettings
from services.tls import REDIS, why_refused

_PASSING = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ReadOnlyError,
    OutOfMemoryError,
    ClusterDownError,
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
        raise _as_answered(error) from error
    except RedisError as error:
        raise StoreRefused(f"Redis failed: {error}") from error
    except RuntimeError as error:
        if not is_hang_up(error):
            raise
        raise StoreUnavailable(f"Redis is away: {error}") from error


def _as_answered(error: ResponseError) -> StoreUnavailable | StoreRefused:
    """Return what an answer that is an error means; what passes by its class was told apart before."""
    text = str(error)
    if isinstance(error, TryAgainError):
        return StoreUnavailable(f"a slot of the Redis Cluster is being moved: {error}")
    if isinstance(error, MovedError):
        return StoreRefused(
            f"Redis is a cluster, and redis.url names one server: write it as redis+cluster://HOST:PORT ({error})"
        )
    if isinstance(error, NoPermissionError) or is_forbidden(text):
        return StoreRefused(
            f"Redis does not let this user do it: {error}; give the ACL user what deploy/docs/security.md lists"
        )
    if _PASSING_ANSWER.search(text):
        return StoreUnavailable(f"Redis cannot do it now: {error}")
    if _ANOTHER_TYPE.search(text):
        return StoreRefused(f"Redis holds another type of value under a key of Tidemark's: {STRANGER}")
    return StoreRefused(f"Redis refused a command: {error}")


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

    def pool(address: Address | None = None) -> BlockingConnectionPool:
        return connection_pool(
            settings, address, timeout_s=timeout, connections=connections, name=name, socket_timeout_s=timeout
        )

    cluster = read_cluster_url(settings.url)
    if cluster is not None:
        return ClusterClient(cluster.seeds, pool, timeout_s=map_timeout_s(timeout))
    return Redis.from_pool(pool())


def map_timeout_s(timeout_s: float) -> float:
    """Return how long a node of a cluster is waited for that is asked where the slots are, given that of a call.

    Another one knows that as well, and all of them are asked within about one call.
    """
    return timeout_s / 4


async def answers(settings: RedisSettings, *, timeout_s: float) -> None:
    """Return once Redis answers, every master of a cluster, on connections made for the question.

    Raises:
        StoreUnavailable, StoreRefused: it does not.
    """
    client = connect(settings, timeout_s=timeout_s, connections=1, name="tidemark-watchdog")
    try:
        with translated():
            await asyncio.gather(*[server.ping() for server in (await servers_of(client)).values()])
    finally:
        await client.aclose()


async def servers_of(client: Redis, *, replicas: bool = False) -> dict[str, Redis]:
    """Return a client of each server that holds counters, by what it is called in a sentence.

    Args:
        replicas: with the replicas that the masters of a cluster have.
    """
    if not isinstance(client, ClusterClient):
        return {"Redis": client}
    nodes = await (client.each_node() if replicas else client.each_master())
    return {f"Redis at {address}": node for address, node in nodes.items()}


def connection_pool(
    settings: RedisSettings,
    address: Address | None = None,
    *,
    timeout_s: float,
    connections: int,
    name: str,
    socket_timeout_s: float | None,
) -> BlockingConnectionPool:
    """Return a pool.

    Args:
        address: of a node of a cluster; None for the server of the settings.
        timeout_s: of waiting for a connection, and of connecting.
        socket_timeout_s: of each write and each read; None where the caller limits them.
    """
    cluster = read_cluster_url(settings.url)
    pool = BlockingConnectionPool.from_url(
        settings.url if cluster is None else cluster.node_url,
        max_connections=connections,
        timeout=timeout_s,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        client_name=name,
    )
    secure(pool, settings)
    if address is not None:
        pool.connection_kwargs |= {"host": address.host, "port": address.port}
    return pool
