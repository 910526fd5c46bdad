"""The answers about an organization as a whole: itself, its teams, its licence."""

from typing import Any

from query_api.schemas.members import Answer, Count, Long, Maybe
from query_api.schemas.paging import Meta


class Organization(Answer):
    """An organization; what its record does not say is left out."""

    id: str
    name: str
    public_key: Maybe[str] = None
    saml_enabled: Maybe[bool] = None
    smtp_configured: Maybe[bool] = None
    username_password_enabled: Maybe[bool] = None
    domains: Maybe[tuple[str, ...]] = None
    plan_type: Maybe[str] = None


class Team(Answer):
    """A team; `usersCount` counts its registered members."""

    id: str
    name: str
    users_count: Count
    is_default_team: Maybe[bool] = None


class TeamListResponse(Answer):
    """One page of teams, by id."""

    data: tuple[Team, ...]
    meta: Meta


class License(Answer):
    """A licence; times are UNIX seconds, and what its record does not say is left out."""

    exp: Long
    iat: Long
    seats: Maybe[Count] = None
    seats_cap: Maybe[Count] = None
    audience: Maybe[str] = None
    features: Maybe[tuple[str, ...]] = None
    settings: Maybe[dict[str, Any]] = None


class LicenseResponse(Answer):
    """The licence in force."""

    license: License
