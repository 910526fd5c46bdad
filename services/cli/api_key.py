"""`tidemark api-key create|list|revoke`: the keys that organizations call the quota operations with."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from services.api_keys import NAME_CHARACTERS_MAX, ApiKey, ApiKeyId, KeyHash, make_key
from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json, write_table
from services.clock import now_ms
from services.durations import parse_duration
from services.event_rules import is_id_text
from services.identifiers import OrganizationId
from services.settings import Settings
from services.stores import open_api_keys
from services.windows import rfc3339

LIFETIME_MAX_S: Final = 3_660 * 86_400

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the API keys of organizations.")


def lifetime_ms(text: str) -> int:
    """Return a duration such as `90d` in milliseconds.

    Raises:
        typer.BadParameter: it is none, or not between a second and ten years.
    """
    try:
        seconds: Any = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if seconds is None or not 1 <= seconds <= LIFETIME_MAX_S:
        raise typer.BadParameter("a key lives from 1s to 3660d; without --expires, until it is revoked")
    return int(seconds * 1000)


def organization_id(text: str) -> OrganizationId:
    if not is_id_text(text):
        raise typer.BadParameter("an id has 1 to 128 characters, no control characters, no /, and is no reserved word")
    return OrganizationId(text)


def key_name(text: str) -> str:
    if len(text) > NAME_CHARACTERS_MAX or not text.isprintable():
        raise typer.BadParameter(f"a name has at most {NAME_CHARACTERS_MAX} characters, all of them printable")
    return text


@app.command()
def create(
    organization: Annotated[
        OrganizationId,
        typer.Option(metavar="ID", parser=organization_id, help="The organization it is for.", show_default=False),
    ],
    name: Annotated[str, typer.Option(metavar="TEXT", parser=key_name, help="What it is for, for people.")] = "",
    expires: Annotated[
        int | None,
        typer.Option(metavar="DURATION", parser=lifetime_ms, help="How long it lives, say 90d; else until revoked."),
    ] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once: what is kept of it is a hash.

    It has the rights of an Admin of the organization in the quota operations, and in every descendant when the
    organization is a root. The next request may use it.

    Example: `curl -H "SlashID-API-Key: $(tidemark api-key create --organization acme)" -H "SlashID-OrgID: acme" …`
    """
    new, created_ms = make_key(), now_ms()
    key = ApiKey(
        id=new.id,
        organization=organization,
        name=name,
        created_ms=created_ms,
        expires_ms=None if expires is None else created_ms + expires,
    )
    run(_create(settings_for(state_file), new.hash, key))
    if as_json:
        write_json({"key": new.text} | members(key))
    else:
        say(new.text)
        complain(f"this is key {new.id}; it is not shown again: `tidemark api-key revoke {new.id}` ends it")


@app.command("list")
def list_(state_file: StateFile = None, as_json: AsJson = False) -> None:
    """Print the keys that are not revoked, oldest first: everything but the keys themselves.

    Example: `tidemark api-key list --json | jq -r '.[] | select(.organizationId == "acme").id'`
    """
    keys = run(_all(settings_for(state_file)))
    if as_json:
        write_json([members(key) for key in keys])
    elif keys:
        write_table(
            "API keys", ("id", "organization", "name", "created at", "expires at"), [_cells(key) for key in keys]
        )
    else:
        say("no API keys; `tidemark api-key create` makes one")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.", show_default=False)],
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """End a key: the next request with it is refused. Exit with 1 when there is no such key.

    Example: `tidemark api-key revoke 0123456789`
    """
    revoked = run(_revoke(settings_for(state_file), ApiKeyId(key_id)))
    if as_json:
        write_json({"revoked": revoked})
    else:
        say(
            f"revoked {key_id}"
            if revoked
            else f"there is no key with the id {key_id}; `tidemark api-key list` has them"
        )
    if not revoked:
        raise typer.Exit(1)


def members(key: ApiKey) -> dict[str, Any]:
    """Return a key as a JSON object, without the key itself."""
    return {
        "id": key.id,
        "organizationId": key.organization,
        "name": key.name,
        "createdAt": rfc3339(key.created_ms),
        "expiresAt": None if key.expires_ms is None else rfc3339(key.expires_ms),
    }


def _cells(key: ApiKey) -> tuple[object, ...]:
    expires = "never" if key.expires_ms is None else rfc3339(key.expires_ms)
    if not key.is_live(now_ms()):
        expires = f"{expires} (expired)"
    return key.id, key.organization, key.name, rfc3339(key.created_ms), expires


async def _create(settings: Settings, key_hash: KeyHash, key: ApiKey) -> None:
    async with open_api_keys(settings) as store:
        await store.create(key_hash, key)


async def _all(settings: Settings) -> Sequence[ApiKey]:
    async with open_api_keys(settings) as store:
        return await store.all()


async def _revoke(settings: Settings, key_id: ApiKeyId) -> bool:
    async with open_api_keys(settings) as store:
        return await store.revoke(key_id)
