"""Weak entity tags, and whether a client has what would be sent (RFC 9110, sections 8.8 and 13.1.2). Pure."""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

_DIGITS: Final = 32
"""128 bits of SHA-256, which processors have instructions for: half the time of BLAKE2 where they do."""

_TAGS: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_ANY: Final = "*"


def weak_etag(content: bytes) -> str:
    """Return the tag of a content: the same in every process and for every coding of the content."""
    return f'W/"{sha256(content).hexdigest()[:_DIGITS]}"'


def is_held(etag: str, if_none_match: Iterable[str]) -> bool:
    """Return whether the lines of If-None-Match name a tag, or any; weak and strong count as the same.

    What is no tag matches nothing: it only costs the client a body.
    """
    opaque = etag.removeprefix("W/")
    return any(line.strip() == _ANY or opaque in _TAGS.findall(line) for line in if_none_match)
