"""What people type is parsed once, and refused with the way to write it."""

from __future__ import annotations

from decimal import Decimal

import click
import pytest

from protocol.cli import arguments
from protocol.cli.arguments import ModelVersion

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (arguments.ModelVersionType(), "1@2", ModelVersion(1, 2)),
        (arguments.ModelVersionType(), "4294967295@1", ModelVersion(4294967295, 1)),
        (arguments.AddressType(), ADDRESS, ADDRESS),
        (arguments.AddressType(), ADDRESS.lower(), ADDRESS),
        (arguments.DurationType(), "90d", 90 * 86_400),
        (arguments.DurationType(), "45s", 45),
        (arguments.MomentType(), "1900000000", 1_900_000_000),
        (arguments.MomentType(), "2027-01-31", 1_801_353_600),
        (arguments.MomentType(), "2027-01-31T01:00+01:00", 1_801_353_600),
        (arguments.ModifierType(), "irb", "IRB"),
        (arguments.MondoType(), "MONDO:0005148", 5148),
        (arguments.AmountType(), "1000", Decimal(1000)),
        (arguments.AmountType(), "0.5", Decimal("0.5")),
    ],
)
def test_reads(kind: click.ParamType, text: str, value: object) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (arguments.ModelVersionType(), "1", "MODEL@VERSION"),
        (arguments.ModelVersionType(), "0@1", "MODEL@VERSION"),
        (arguments.ModelVersionType(), "4294967296@1", "MODEL@VERSION"),
        (arguments.AddressType(), "0x1234", "40 hexadecimal digits"),
        (arguments.AddressType(), ADDRESS.replace("C8", "c8"), "wrong checksum"),
        (arguments.DurationType(), "90", "90d"),
        (arguments.DurationType(), "-1d", "90d"),
        (arguments.MomentType(), "tomorrow", "2027-01-31"),
        (arguments.MomentType(), "2000000000000", "out of range"),
        (arguments.ModifierType(), "FOO", "not a DUO modifier"),
        (arguments.MondoType(), "MONDO:0000000", "MONDO:0005148"),
        (arguments.AmountType(), "0", "write 1000"),
        (arguments.AmountType(), "NaN", "amount"),
        (arguments.AmountType(), "1e-19", "write 1000"),
    ],
)
def test_refuses_and_says_how_to_write_it(kind: click.ParamType, text: str, says: str) -> None:
    with pytest.raises(click.BadParameter, match=says):
        kind.convert(text, None, None)


@pytest.mark.parametrize(("expires_in", "expires_at"), [(None, None), (1, 2)])
def test_expiry_is_said_once(expires_in: int | None, expires_at: int | None) -> None:
    with pytest.raises(click.UsageError, match="one of --expires-in and --expires-at"):
        arguments.expiry(expires_in, expires_at, 0)


def test_expiry_counts_from_now() -> None:
    assert arguments.expiry(60, None, 1000) == 1060
