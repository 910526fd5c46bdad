"""`tidemark token`: a bearer token for the query API, signed with the deployment's secret (HS256)."""

from typing import Annotated, Any, Final

import typer

from services.cli.common import AsJson, StateFile, settings_for, write_json
from services.clock import now_ms
from services.identifiers import OrganizationId, UserId
from services.settings import parse_duration
from services.tokens import Claims, Role, issue_token, token_key
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


def token(
    organization: Annotated[
        str, typer.Option(metavar="ID", help="The organization that the token sees.", show_default=False)
    ],
    role: Annotated[Role, typer.Option(help="The caller's role in it.", show_default=False)],
    user: Annotated[str, typer.Option(metavar="ID", help="The caller.")] = "tidemark-cli",
    expires: Annotated[int, typer.Option(metavar="DURATION", parser=lifetime, help="How long it lives.")] = "1h",  # type: ignore[assignment]
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a token for the query API, signed with TIDEMARK_API__JWT_SECRET.

    Where the API checks tokens by the public keys of another issuer alone, that one makes them.

    Example: `curl -H "Authorization: Bearer $(tidemark token --organization acme --role Admin)" …`
    """
    api = settings_for(state_file).api
    key = token_key(api)
    issued_s = now_ms() // 1000
    claims = Claims(subject=UserId(user), organization=OrganizationId(organization), role=role)
    text = issue_token(claims, key, issued_s=issued_s, lifetime_s=expires)
    if as_json:
        write_json({"token": text, "expiresAt": rfc3339((issued_s + expires) * 1000)})
    else:
        typer.echo(text)
