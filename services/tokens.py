"""Bearer tokens of the query API: JWTs signed with HS256, what they claim, and the one place that checks them.

The algorithm is fixed, so a token cannot choose it (RFC 8725); a key named by a token's header is never looked at.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jwt

from services.identifiers import OrganizationId, UserId
from services.settings import JWT_SECRET_BYTES_MIN, ApiSettings

ALGORITHM: Final = "HS256"
LEEWAY_S: Final = 30
TOKEN_BYTES_MAX: Final = 8_192
_REQUIRED: Final = ("iss", "aud", "exp", "sub", "organizationid", "role")
_NOT_VALID: Final = "the token is not valid here"


class Role(StrEnum):
    """What a caller is in the organization, in the contract's words."""

    ADMIN = "Admin"
    MANAGER = "Manager"
    TEAM_LEAD = "TeamLead"
    MEMBER = "Member"


class BadToken(Exception):
    """A token is not accepted; the text is a sentence for the caller without anything of the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Who calls: a user of one organization, in one role."""

    subject: UserId
    organization: OrganizationId
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """What issuer and verifier share. `secret` has at least `JWT_SECRET_BYTES_MIN` bytes."""

    secret: str
    issuer: str
    audience: str

    def __post_init__(self) -> None:
        if len(self.secret.encode()) < JWT_SECRET_BYTES_MIN:
            raise ValueError(f"the secret of tokens must have at least {JWT_SECRET_BYTES_MIN} bytes")

    def __repr__(self) -> str:
        return f"TokenKey(issuer={self.issuer!r}, audience={self.audience!r})"


def token_key(settings: ApiSettings) -> TokenKey:
    """Return the key of the tokens that the query API accepts."""
    return TokenKey(
        secret=settings.jwt_secret.get_secret_value(), issuer=settings.jwt_issuer, audience=settings.jwt_audience
    )


def issue_token(claims: Claims, key: TokenKey, *, issued_s: int, lifetime_s: int) -> str:
    """Return a signed token that lives from `issued_s`, UNIX seconds, for `lifetime_s`."""
    payload = {
        "iss": key.issuer,
        "aud": key.audience,
        "iat": issued_s,
        "exp": issued_s + lifetime_s,
        "sub": claims.subject,
        "organizationid": claims.organization,
        "role": claims.role.value,
    }
    return jwt.encode(payload, key.secret, algorithm=ALGORITHM)


def verify_token(token: str, key: TokenKey) -> Claims:
    """Return what a token claims.

    Raises:
        BadToken: it is too long, malformed, signed otherwise, expired, for somebody else, or a claim is missing.
    """
    if len(token) > TOKEN_BYTES_MAX:
        raise BadToken(f"the token is longer than {TOKEN_BYTES_MAX} bytes")
    if not token.isascii():
        raise BadToken(_NOT_VALID)
    try:
        payload = jwt.decode(
            token,
            key.secret,
            algorithms=[ALGORITHM],
            issuer=key.issuer,
            audience=key.audience,
            leeway=LEEWAY_S,
            options={"require": list(_REQUIRED)},
        )
    except jwt.ExpiredSignatureError:
        raise BadToken("the token has expired") from None
    except jwt.MissingRequiredClaimError as error:
        raise BadToken(f"the token lacks the claim {error.claim}") from None
    except jwt.InvalidTokenError:
        raise BadToken(_NOT_VALID) from None
    return _claims(payload)


def _claims(payload: dict[str, Any]) -> Claims:
    organization = payload["organizationid"]
    if not isinstance(organization, str) or not organization:
        raise BadToken("the claim organizationid must be a text")
    try:
        role = Role(payload["role"])
    except ValueError:
        raise BadToken(f"the claim role must be one of {', '.join(Role)}") from None
    return Claims(subject=UserId(payload["sub"]), organization=OrganizationId(organization), role=role)
