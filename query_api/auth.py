"""Who calls: the bearer token of a request, and what it may see."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from query_api.errors import ApiError, not_found
from services.tokens import BadToken, Claims, TokenKey, verify_token

_REALM = 'Bearer realm="tidemark"'

_scheme = HTTPBearer(
    scheme_name="bearerAuth", bearerFormat="JWT", auto_error=False, description="HS256; `tidemark token` makes one."
)

Caller = Callable[..., Claims]
"""A FastAPI dependency that gives the claims of the request's token, or ends it with 401."""


def caller_of(key: TokenKey) -> Caller:
    """Return the dependency that accepts the tokens signed with a key."""

    def caller(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]
    ) -> Claims:
        if credentials is None or len(request.headers.getlist("Authorization")) != 1:
            raise _unauthorized("send one header Authorization: Bearer and a token", challenge=_REALM)
        try:
            return verify_token(credentials.credentials, key)
        except BadToken as error:
            raise _unauthorized(str(error), challenge=f'{_REALM}, error="invalid_token"') from None

    return caller


def check_organization(claims: Claims, organization: str, *, foreign: HTTPStatus) -> None:
    """Refuse a foreign organization by the token alone, so that nothing about it shows (contract notes A06).

    Args:
        foreign: 404 where the contract has no 403, else 403.
    """
    if claims.organization != organization:
        if foreign is HTTPStatus.NOT_FOUND:
            raise not_found()
        raise ApiError(foreign, "the token belongs to another organization")


def _unauthorized(sentence: str, *, challenge: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, sentence, headers={"WWW-Authenticate": challenge})
