"""Checks a bearer token with the keys that the settings name: the secret, the file, the address."""

from collections.abc import Sequence
from contextlib import suppress

from query_api.accepted_tokens import AcceptedTokens
from query_api.jwks import KeyAddress, KeysUnavailable
from services.identifiers import UserId
from services.settings import ApiSettings
from services.token_keys import VerificationKey, fixed_keys
from services.tokens import Claims, NoKeyFits, check_ops_token, check_token


class TokenVerifier:
    """Says what a token claims, for the tasks of one event loop."""

    def __init__(
        self, *, issuer: str, audience: str, fixed: Sequence[VerificationKey], address: KeyAddress | None
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._fixed = fixed
        self._address = address
        self._accepted = AcceptedTokens()

    async def claims(self, token: str) -> Claims:
        """Return what a token claims; the address is asked only where no other key signed it.

        Raises:
            BadToken: the token is not accepted.
            KeysUnavailable: that cannot be said now.
        """
        known = self._accepted.get(token)
        if known is not None and known.keys is self._fixed:
            return known.good.claims
        if known is not None and self._address is not None:
            keys = await self._address.keys(known.good.kid)
            return known.good.claims if keys is known.keys else self._verify(token, keys)
        try:
            return self._verify(token, self._fixed)
        except NoKeyFits as error:
            if self._address is None:
                raise
            kid = error.kid
        return self._verify(token, await self._address.keys(kid))

    async def operator(self, token: str) -> UserId:
        """Return the subject of a token for the operators' routes.

        Raises:
            NotAnOperator, BadToken: the token is not accepted there.
            KeysUnavailable: that cannot be said now.
        """
        try:
            return check_ops_token(token, self._fixed, issuer=self._issuer, audience=self._audience)
        except NoKeyFits as error:
            if self._address is None:
                raise
            kid = error.kid
        keys = await self._address.keys(kid)
        return check_ops_token(token, keys, issuer=self._issuer, audience=self._audience)

    async def warm_up(self) -> None:
        """Read the address, so that the first requests need not wait for it."""
        if self._address is not None:
            with suppress(KeysUnavailable):  # the log says so, and the next token asks again
                await self._address.keys(None)

    def _verify(self, token: str, keys: Sequence[VerificationKey]) -> Claims:
        good = check_token(token, keys, issuer=self._issuer, audience=self._audience)
        self._accepted.put(token, good, keys)
        return good.claims


def token_verifier(settings: ApiSettings) -> TokenVerifier:
    """Return the verifier of a deployment's tokens; the file is read here, the address when a token needs it.

    Raises:
        WrongSettings: the file cannot be used.
    """
    address = None if settings.jwks_url is None else KeyAddress(settings.jwks_url, interval_s=settings.jwks_interval)
    return TokenVerifier(
        issuer=settings.jwt_issuer, audience=settings.jwt_audience, fixed=fixed_keys(settings), address=address
    )
