"""The callers: an administrator of each organization, and others of the first one that cases are sent as at times."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from services.api_keys import ApiKey, NewKey
from services.identifiers import OrganizationId, UserId
from services.settings import ApiSettings
from services.tokens import Claims, Role, issue_token, token_key
from tests.fuzz import world

CALLER: Final = world.ORGANIZATION
PEER: Final = world.OTHER_ORGANIZATION
"""Whose token must not open what `CALLER` owns; `object_level_authorization` tries it."""

_LIFETIME_S: Final = 7_200
_CALLERS: Final = "callers.json"
_DOCUMENT: Final = "identities.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Values of Authorization, and an API key of the same organization as `caller`.

    Attributes:
        others: of `caller`'s organization with fewer rights, and one whose token has expired.
    """

    caller: str
    peer: str
    others: tuple[str, ...]
    api_key: str


def make_callers(api_key: NewKey, now_ms: int) -> Callers:
    roles = (Role.MANAGER, Role.TEAM_LEAD, Role.MEMBER)
    others = [_bearer(CALLER, user, role, now_ms) for user, role in zip(world.USERS[1:4], roles, strict=True)]
    return Callers(
        caller=_bearer(CALLER, world.USERS[0], Role.ADMIN, now_ms),
        peer=_bearer(PEER, world.OTHER_USERS[0], Role.ADMIN, now_ms),
        others=(*others, _bearer(CALLER, world.USERS[0], Role.ADMIN, now_ms - 2 * _LIFETIME_S * 1000)),
        api_key=api_key.text,
    )


def kept_api_key(api_key: NewKey, now_ms: int) -> ApiKey:
    return ApiKey(
        id=api_key.id, organization=OrganizationId(CALLER), name="fuzzing", created_ms=now_ms, expires_ms=None
    )


def write_callers(directory: Path, callers: Callers) -> None:
    """Write the callers, and both administrators as the document that schemathesis reads (Web Fuzzing Commons)."""
    (directory / _CALLERS).write_bytes(msgspec.json.encode(callers))
    entries = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": value}]}
        for name, value in ((CALLER, callers.caller), (PEER, callers.peer))
    ]
    (directory / _DOCUMENT).write_text(json.dumps({"auth": entries}))


def read_callers(directory: Path) -> Callers:
    return msgspec.json.decode((directory / _CALLERS).read_bytes(), type=Callers)


def document(directory: Path) -> Path:
    return directory / _DOCUMENT


def _bearer(organization: str, user: str, role: Role, issued_ms: int) -> str:
    claims = Claims(subject=UserId(user), organization=OrganizationId(organization), role=role)
    key = token_key(ApiSettings())
    return f"Bearer {issue_token(claims, key, issued_s=issued_ms // 1000, lifetime_s=_LIFETIME_S)}"
