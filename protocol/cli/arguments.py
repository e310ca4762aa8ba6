"""What people type, parsed once: ids, versions, times, DUO words, amounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
from eth_utils import is_checksum_address, to_checksum_address

from protocol.chain import duo

F = TypeVar("F", bound=Callable[..., Any])

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
#: Ids and counts on the chain are uint32, expiries uint40.
MAX_UINT32 = 2**32 - 1
MAX_UINT40 = 2**40 - 1
MAX_UINT256 = 2**256 - 1


@dataclass(frozen=True)
class ModelVersion:
    """A model's version, written 1@2."""

    model_id: int
    version: int

    def __str__(self) -> str:
        return f"{self.model_id}@{self.version}"


class ModelVersionType(click.ParamType):
    """MODEL@VERSION, as in 1@2."""

    name = "model@version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ModelVersion:
        if isinstance(value, ModelVersion):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,9})@([1-9][0-9]{0,9})", value)
        if not found or max(map(int, found.groups())) > MAX_UINT32:
            self.fail(f"{value!r} is not a model version: write MODEL@VERSION, as in 1@2.", param, ctx)
        return ModelVersion(*map(int, found.groups()))


class AddressType(click.ParamType):
    """An account's address: 0x and 40 hexadecimal digits; mixed case must be its EIP-55 checksum."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
            self.fail(f"{value!r} is not an address: it has 0x and 40 hexadecimal digits.", param, ctx)
        digits = value[2:]
        if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(value):
            self.fail(f"{value!r} has a wrong checksum: a digit or its case is mistyped.", param, ctx)
        return to_checksum_address(value)


class DurationType(click.ParamType):
    """A time span: a number and s, m, h, d, w or y."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,8})([smhdwy])", value)
        if not found:
            self.fail(f"{value!r} is not a time span: write 90d, 12h, 30m, 45s, 2w or 1y.", param, ctx)
        return int(found[1]) * SECONDS[found[2]]


class MomentType(click.ParamType):
    """A point in time: an ISO 8601 date or date and time (UTC when it names no zone), or unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if re.fullmatch(r"[0-9]{1,13}", value):
            seconds = int(value)
        else:
            try:
                given = datetime.fromisoformat(value)
            except ValueError:
                self.fail(
                    f"{value!r} is not a time: write 2027-01-31, 2027-01-31T12:00 or unix seconds.",
                    param,
                    ctx,
                )
            seconds = int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())
        if not 0 < seconds <= MAX_UINT40:
            self.fail(f"{value!r} is out of range.", param, ctx)
        return seconds


class ModifierType(click.ParamType):
    """A DUO modifier by name."""

    name = "modifier"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = value.upper()
        if name not in duo.MODIFIERS:
            self.fail(f"{value!r} is not a DUO modifier. Known: {', '.join(duo.MODIFIERS)}.", param, ctx)
        return name


class MondoType(click.ParamType):
    """A disease of the MONDO ontology, as in MONDO:0005148."""

    name = "mondo"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(?:MONDO:)?([0-9]{7})", value)
        if not found or not int(found[1]):
            self.fail(f"{value!r} is not a MONDO disease: write MONDO:0005148.", param, ctx)
        return int(found[1])


class AmountType(click.ParamType):
    """Whole tokens, with a decimal point: 1000 or 0.5."""

    name = "tokens"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        if not re.fullmatch(r"[0-9]{1,60}(\.[0-9]{1,30})?", value) or not Decimal(value):
            self.fail(f"{value!r} is not an amount of tokens: write 1000 or 0.5.", param, ctx)
        return Decimal(value)


ID = click.IntRange(1, MAX_UINT32)
COUNT = click.IntRange(1, MAX_UINT32)
PROPOSAL_ID = click.IntRange(0, MAX_UINT256)
PERMISSION = click.Choice([each.name for each in duo.Permission], case_sensitive=False)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def signing(command: F) -> F:
    """Options of a command that sends a transaction or signs: whose key, and how to open it."""
    return _account(_password_file(command), required=True, say="")


def may_sign(command: F) -> F:
    """As `signing`, for a command that does less without an account."""
    return _account(_password_file(command), required=False, say=" Without it nothing goes on the chain.")


def _account(command: F, required: bool, say: str) -> F:
    return click.option(
        "--account",
        envvar="SALUS_ACCOUNT",
        show_envvar=True,
        required=required,
        help=f"Who signs: the name or address of an account in the keystore.{say}",
    )(command)


def _password_file(command: F) -> F:
    return click.option(
        "--password-file",
        type=EXISTING_FILE,
        envvar="SALUS_PASSWORD_FILE",
        show_envvar=True,
        help="File with the keystore's password in its first line. Without it the password is asked for.",
    )(command)


def vault_password(command: F) -> F:
    """Option of a command that opens the hospital's vault."""
    return click.option(
        "--vault-password-file",
        type=EXISTING_FILE,
        envvar="SALUS_VAULT_PASSWORD_FILE",
        show_envvar=True,
        help="File with the vault's password in its first line.",
    )(command)


def expiry(expires_in: int | None, expires_at: int | None, now: int) -> int:
    """Unix seconds of the one of the two that was given. Raises click.UsageError for none or both."""
    if (expires_in is None) == (expires_at is None):
        raise click.UsageError("Say when it expires with one of --expires-in and --expires-at.")
    return expires_at if expires_at is not None else now + expires_in
