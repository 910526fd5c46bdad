"""What the aggregator's apply calls look like on the wire, for a proxy that waits for one."""

from hashlib import sha1
from importlib.resources import files

_HASH = sha1(files("services").joinpath("lua", "apply.lua").read_bytes(), usedforsecurity=False).hexdigest().encode()
_EVENTS_BYTES = 2_000
"""Above what a call with positions alone has."""


def applies_events(chunk: bytes) -> bool:
    """Return whether a chunk begins an apply call that brings events."""
    return b"EVALSHA" in chunk and _HASH in chunk and len(chunk) > _EVENTS_BYTES
