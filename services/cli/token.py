"""`tidemark token`: a bearer token for the query API, signed with the deployment's secret (HS256)."""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from services.cli.common import AsJson, StateFile, settings_for, write_json
from services.clock import now_ms
from services.durations import parse_duration
from services.identifiers import OrganizationId, UserId
from services.tokens import OPS_SCOPE, Claims, Role, issue_ops_token, issue_token, token_key
from services.windows import rfc3339

LIFETIME_MAX_S: Final = 366 * 86_400


def lifetime(text: str) -> int:
    """Return a duration such as `1h` in whole seconds.

    Raises:
        typer.BadParameter: it is none, or not between a second and a year.
    """
    try:
        seconds: Any = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if seconds is None or not 1 <= seconds <= LIFETIME_MAX_S:
        raise typer.BadParameter("a token lives from 1s to 366d")
    return int(seconds)


class TokenScope(StrEnum):
    """What a token is for that is no user's."""

    OPS = OPS_SCOPE


def token(
    organization: Annotated[
        str | None, typer.Option(metavar="ID", help="The organization that the token sees.", show_default=False)
    ] = None,
    role: Annotated[Role | None, typer.Option(help="The caller's role in it.", show_default=False)] = None,
    scope: Annotated[
        TokenScope | None, typer.Option(help="`ops`: for the operators' routes, and for no organization.")
    ] = None,
    user: Annotated[str, typer.Option(metavar="ID", help="The caller.")] = "tidemark-cli",
    expires: Annotated[int, typer.Option(metavar="DURATION", parser=lifetime, help="How long it lives.")] = "1h",  # type: ignore[assignment]
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a token for the query API, signed with TIDEMARK_API__JWT_SECRET: a user's, or an operator's.

    A user's token has an organization and a role. An operator's (`--scope ops`) has neither: it opens /ops/… on the
    API's second port and nothing else, and a user's opens none of that. Where the API checks tokens by the public keys
    of another issuer alone, that one makes them.

    Examples: `curl -H "Authorization: Bearer $(tidemark token --organization acme --role Admin)" …` ·
    `curl -H "Authorization: Bearer $(tidemark token --scope ops)" http://127.0.0.1:8081/ops/lag`
    """
    api = settings_for(state_file).api
    key = token_key(api)
    issued_s = now_ms() // 1000
    if scope is TokenScope.OPS:
        if organization is not None or role is not None:
            raise typer.BadParameter("a token of scope ops is no user's: leave out --organization and --role")
        text = issue_ops_token(UserId(user), key, issued_s=issued_s, lifetime_s=expires)
    else:
        claims = _claims(user, organization, role)
        text = issue_token(claims, key, issued_s=issued_s, lifetime_s=expires)
    if as_json:
        write_json({"token": text, "expiresAt": rfc3339((issued_s + expires) * 1000)})
    else:
        typer.echo(text)


def _claims(user: str, organization: str | None, role: Role | None) -> Claims:
    if organization is None:
        raise typer.BadParameter("give --organization and --role for a user's token, or --scope ops for an operator's")
    if role is None:
        raise typer.BadParameter(f"give --role, one of {', '.join(Role)}")
    return Claims(subject=UserId(user), organization=OrganizationId(organization), role=role)
