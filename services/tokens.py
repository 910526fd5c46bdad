"""Bearer tokens of the query API: JWTs, what they claim, and the one place that checks them.

The key fixes the algorithm, so a token cannot choose it (RFC 8725). What a token's header says of a key is its name
(`kid`), which only picks among the keys that are there; a header that brings a key along or asks for more is refused.
"""

from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jwt
import msgspec

from services.event_rules import is_id_text, is_identity_text
from services.identifiers import OrganizationId, UserId
from services.settings import JWT_SECRET_BYTES_MIN, ApiSettings
from services.settings_loading import WrongSettings
from services.token_keys import Algorithm, VerificationKey, accepts_secret

LEEWAY_S: Final = 30
TOKEN_BYTES_MAX: Final = 8_192
OPS_SCOPE: Final = "ops"
"""What the claim `scope` of an operator's token says. Such a token is no user's, whatever else it claims."""

_REQUIRED: Final = ("iss", "aud", "exp", "sub")
_REQUIRED_OF_USERS: Final = ("organizationid", "role")
_NOT_VALID: Final = "the token is not valid here"


class Role(StrEnum):
    """What a caller is in the organization, in the contract's words."""

    ADMIN = "Admin"
    MANAGER = "Manager"
    TEAM_LEAD = "TeamLead"
    MEMBER = "Member"


class BadToken(Exception):
    """A token is not accepted; the text is a sentence for the caller without anything of the token."""


class NotAnOperator(Exception):
    """A token is valid, and a user's; the text is a sentence for the caller."""


class NoKeyFits(BadToken):
    """None of the keys signed the token. `kid` is the key that its header names, None when it names none."""

    def __init__(self, kid: str | None) -> None:
        super().__init__(_NOT_VALID)
        self.kid = kid


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Who calls: a user of one organization, in one role."""

    subject: UserId
    organization: OrganizationId
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodToken:
    """A token that is accepted.

    Attributes:
        kid: the key that its header names, None when it names none.
        expires_s: when it ends, UNIX seconds; it is accepted `LEEWAY_S` longer.
    """

    claims: Claims
    kid: str | None
    expires_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """What makes HS256 tokens. `secret` has at least `JWT_SECRET_BYTES_MIN` bytes."""

    secret: str
    issuer: str
    audience: str

    def __post_init__(self) -> None:
        if len(self.secret.encode()) < JWT_SECRET_BYTES_MIN:
            raise ValueError(f"the secret of tokens must have at least {JWT_SECRET_BYTES_MIN} bytes")

    def __repr__(self) -> str:
        return f"TokenKey(issuer={self.issuer!r}, audience={self.audience!r})"


def token_key(settings: ApiSettings) -> TokenKey:
    """Return the key of HS256 tokens that the query API accepts.

    Raises:
        WrongSettings: it accepts none, being given other keys and no secret of its own.
    """
    if not accepts_secret(settings):
        raise WrongSettings(
            "TIDEMARK_API__JWT_SECRET is not set, and this deployment checks tokens with the keys of another issuer"
            " (jwt_key_file, jwks_url): have that one make the token, or set a secret for the API and this command"
        )
    return TokenKey(
        secret=settings.jwt_secret.get_secret_value(), issuer=settings.jwt_issuer, audience=settings.jwt_audience
    )


def issue_token(claims: Claims, key: TokenKey, *, issued_s: int, lifetime_s: int) -> str:
    """Return a signed token that lives from `issued_s`, UNIX seconds, for `lifetime_s`."""
    of_user = {"organizationid": claims.organization, "role": claims.role.value}
    return _signed(claims.subject, of_user, key, issued_s=issued_s, lifetime_s=lifetime_s)


def issue_ops_token(subject: UserId, key: TokenKey, *, issued_s: int, lifetime_s: int) -> str:
    """Return a signed token for the operators' routes, which belongs to no organization."""
    return _signed(subject, {"scope": OPS_SCOPE}, key, issued_s=issued_s, lifetime_s=lifetime_s)


def _signed(subject: UserId, members: dict[str, str], key: TokenKey, *, issued_s: int, lifetime_s: int) -> str:
    payload = {
        "iss": key.issuer,
        "aud": key.audience,
        "iat": issued_s,
        "exp": issued_s + lifetime_s,
        "sub": subject,
        **members,
    }
    return jwt.encode(payload, key.secret, algorithm="HS256")


def check_token(token: str, keys: Iterable[VerificationKey], *, issuer: str, audience: str) -> GoodToken:
    """Return an accepted token.

    Args:
        token: as the caller sent it.
        keys: tried are those of the name in the token's header, those without a name, and all when it names none.
        issuer: whom the token must be from.
        audience: whom the token must be for.

    Raises:
        NoKeyFits: no key signed it.
        BadToken: it is too long, malformed, expired, for somebody else, an operator's, or a claim is missing.
    """
    header = _read_header(token)
    payload = _signed_payload(token, header, keys, issuer, audience)
    return GoodToken(claims=_claims(payload), kid=header.kid, expires_s=int(payload["exp"]))


def check_ops_token(token: str, keys: Iterable[VerificationKey], *, issuer: str, audience: str) -> UserId:
    """Return the subject of an accepted token for the operators' routes; arguments as `check_token`.

    Raises:
        NotAnOperator: it is a user's token.
        NoKeyFits, BadToken: as `check_token`.
    """
    payload = _signed_payload(token, _read_header(token), keys, issuer, audience)
    subject = payload["sub"]
    if not is_identity_text(subject):
        raise BadToken("the claim sub must be the id of the caller")
    if not _is_for_operators(payload):
        raise NotAnOperator(f"the token lacks the scope {OPS_SCOPE}: tokens of users do not open the operators' routes")
    return UserId(subject)


def _is_for_operators(payload: dict[str, Any]) -> bool:
    """Return whether the scopes (RFC 8693: words in one string) hold the operators'."""
    scope = payload.get("scope")
    return isinstance(scope, str) and OPS_SCOPE in scope.split()


class _Header(msgspec.Struct):
    """What is read of a header. A member that would bring in a key or an extension is refused whatever it says."""

    alg: Algorithm
    kid: str | None = None
    crit: Any = msgspec.UNSET
    jwk: Any = msgspec.UNSET
    jku: Any = msgspec.UNSET
    x5u: Any = msgspec.UNSET


_header_decoder: Final = msgspec.json.Decoder(_Header)


def _read_header(token: str) -> _Header:
    if len(token) > TOKEN_BYTES_MAX:
        raise BadToken(f"the token is longer than {TOKEN_BYTES_MAX} bytes")
    if not token.isascii():
        raise BadToken(_NOT_VALID)
    part, *_ = token.split(".", 1)
    try:
        header = _header_decoder.decode(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadToken(_NOT_VALID) from None
    if any(each is not msgspec.UNSET for each in (header.crit, header.jwk, header.jku, header.x5u)):
        raise BadToken("the header of the token brings a key or an extension along, which is not taken here")
    return header


def _signed_payload(
    token: str, header: _Header, keys: Iterable[VerificationKey], issuer: str, audience: str
) -> dict[str, Any]:
    for key in keys:
        if header.kid is None or key.kid is None or key.kid == header.kid:
            payload = _payload(token, key, issuer, audience)
            if payload is not None:
                return payload
    raise NoKeyFits(header.kid)


def _payload(token: str, key: VerificationKey, issuer: str, audience: str) -> dict[str, Any] | None:
    """Return what a token holds, None when the key did not sign it."""
    try:
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY_S,
            options={"require": list(_REQUIRED)},
        )
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
        return None
    except jwt.ExpiredSignatureError:
        raise BadToken("the token has expired") from None
    except jwt.MissingRequiredClaimError as error:
        raise _lacks(error.claim) from None
    except jwt.InvalidTokenError:
        raise BadToken(_NOT_VALID) from None


def _lacks(claim: str) -> BadToken:
    return BadToken(f"the token lacks the claim {claim}")


def _claims(payload: dict[str, Any]) -> Claims:
    if _is_for_operators(payload):
        raise BadToken(f"the token has the scope {OPS_SCOPE}, which opens the operators' routes alone")
    if missing := next((claim for claim in _REQUIRED_OF_USERS if payload.get(claim) is None), None):
        raise _lacks(missing)
    organization, subject = payload["organizationid"], payload["sub"]
    if not isinstance(organization, str) or not is_id_text(organization):
        raise BadToken("the claim organizationid must be the id of an organization")
    if not is_identity_text(subject):
        raise BadToken("the claim sub must be the id of the caller")
    try:
        role = Role(payload["role"])
    except ValueError:
        raise BadToken(f"the claim role must be one of {', '.join(Role)}") from None
    return Claims(subject=UserId(subject), organization=OrganizationId(organization), role=role)
