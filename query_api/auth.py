"""Who calls: the bearer token of a request or, for the quota family, the API key of an organization."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.base import SecurityBase

from query_api.errors import ApiError, unavailable
from query_api.jwks import KeysUnavailable
from query_api.verifying import TokenVerifier
from services.api_keys import ApiKeyStore, hash_of
from services.tokens import BadToken, Claims

API_KEY_HEADER: Final = "SlashID-API-Key"

_TOKENS: Final = 'Bearer realm="tidemark"'
_KEYS_TOO: Final = f'{_TOKENS}, ApiKey realm="tidemark"'

_bearer = HTTPBearer(
    scheme_name="bearerAuth",
    bearerFormat="JWT",
    auto_error=False,
    description="HS256, RS256 or ES256; `tidemark token` makes one where the deployment has a secret for it.",
)
_api_key = APIKeyHeader(
    name=API_KEY_HEADER,
    scheme_name="ApiKeyAuth",
    auto_error=False,
    description="A key of the organization, with the rights of an Admin; `tidemark api-key create` makes one.",
)

Check = Callable[[Request, Claims], Awaitable[None]]
"""What a request must pass once its caller is known; raises `ApiError`."""

Caller = Callable[..., Awaitable[Claims]]
"""A FastAPI dependency that gives the caller's claims, or ends the request with 401 (503 while it cannot tell)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Who may call the operations of each family."""

    usage: Caller
    quota: Caller


class _ByToken(SecurityBase):
    """The bearer scheme as a dependency that gives the claims at once.

    Not one dependency upon another: the framework takes as long to resolve three as the check of a known token and all
    that surrounds it.
    """

    def __init__(self, verifier: TokenVerifier, checks: Sequence[Check]) -> None:
        self.model = _bearer.model
        self.scheme_name = _bearer.scheme_name
        self._verifier = verifier
        self._checks = checks

    async def __call__(self, request: Request) -> Claims:
        credentials = await _bearer(request)
        if credentials is None or len(request.headers.getlist("Authorization")) != 1:
            raise _unauthorized("send one header Authorization: Bearer and a token", challenge=_TOKENS)
        return await _passed(request, await _claims(self._verifier, credentials.credentials), self._checks)


def callers(
    verifier: TokenVerifier, api_keys: ApiKeyStore, now_ms: Callable[[], int], checks: Sequence[Check] = ()
) -> Callers:
    """Return the dependencies.

    Args:
        verifier: of tokens.
        api_keys: by their hash.
        now_ms: ends the life of API keys.
        checks: made in this order.
    """

    async def by_token_or_key(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        key: Annotated[str | None, Depends(_api_key)],
    ) -> Claims:
        sent = [len(request.headers.getlist(name)) for name in ("Authorization", API_KEY_HEADER)]
        if sent == [1, 0] and credentials is not None:
            return await _passed(request, await _claims(verifier, credentials.credentials), checks)
        if sent == [0, 1] and key is not None:
            return await _passed(request, await _claims_of_key(api_keys, key, now_ms()), checks)
        raise _unauthorized(
            f"send one header {API_KEY_HEADER}, or one header Authorization: Bearer and a token, not both",
            challenge=_KEYS_TOO,
        )

    return Callers(usage=_ByToken(verifier, checks), quota=by_token_or_key)


async def _passed(request: Request, claims: Claims, checks: Sequence[Check]) -> Claims:
    for check in checks:
        await check(request, claims)
    return claims


async def _claims(verifier: TokenVerifier, token: str) -> Claims:
    try:
        return await verifier.claims(token)
    except BadToken as error:
        raise _unauthorized(str(error), challenge=f'{_TOKENS}, error="invalid_token"') from None
    except KeysUnavailable:
        raise unavailable("the keys of tokens cannot be read at the moment; try again") from None


async def _claims_of_key(store: ApiKeyStore, text: str, now_ms: int) -> Claims:
    key_hash = hash_of(text)
    key = None if key_hash is None else await store.find(key_hash)
    if key is None or not key.is_live(now_ms):
        raise _unauthorized("the API key is not valid here, or has expired or been revoked", challenge=_KEYS_TOO)
    return key.claims()


def _unauthorized(sentence: str, *, challenge: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, sentence, headers={"WWW-Authenticate": challenge})
