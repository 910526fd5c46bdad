"""Where Redis is, as `redis.url` says it: one server, or the nodes of a Redis Cluster by a scheme of its own.

A cluster is a URL and no setting beside it, so that whatever hands an address on hands on also what stands there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit, urlunsplit

CLUSTER_SCHEMES: Final[Mapping[str, str]] = MappingProxyType({"redis+cluster": "redis", "rediss+cluster": "rediss"})
"""Scheme of a cluster -> scheme of each of its nodes."""

PORT: Final = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """Where one server listens; as text `host:port`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterUrl:
    """A cluster: `seeds` are asked where the slots are, `node_url` says how a node is reached, as that of the first."""

    seeds: tuple[Address, ...]
    node_url: str


def read_cluster_url(url: str) -> ClusterUrl | None:
    """Return what a URL of a cluster says, None for any other.

    Raises:
        ValueError: it is one, and cannot be used; the text says what to write.
    """
    parts = urlsplit(url)
    scheme = CLUSTER_SCHEMES.get(parts.scheme)
    if scheme is None:
        return None
    user, at, places = parts.netloc.rpartition("@")
    seeds = tuple(_address(place) for place in places.split(","))
    if parts.path not in ("", "/", "/0"):
        raise ValueError(f"a Redis Cluster has database 0 only: end the address before {parts.path}")
    return ClusterUrl(seeds=seeds, node_url=urlunsplit((scheme, f"{user}{at}{seeds[0]}", "/0", parts.query, "")))


def _address(place: str) -> Address:
    try:
        parts = urlsplit(f"//{place}")
        if parts.hostname:
            return Address(parts.hostname, parts.port or PORT)
    except ValueError:
        pass
    raise ValueError(
        f"{place!r} is no host:port; give the nodes of a cluster as redis+cluster://10.0.0.1:6379,10.0.0.2:6379"
    )
