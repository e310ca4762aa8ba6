"""DUO names and bits, held to the Solidity library and interface."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import duo
from protocol.errors import InvalidInput

CONTRACTS = Path(__file__).resolve().parents[3] / "contracts"


def test_bits_terms_and_labels_are_the_contracts() -> None:
    source = (CONTRACTS / "libraries" / "Duo.sol").read_text()
    found = re.findall(r"constant (\w+) = 1 << (\d+); // (DUO:\d+) (.+)", source)
    assert {name: (1 << int(bit), term, label) for name, bit, term, label in found} == duo.MODIFIERS
    assert sum(bit for bit, _, _ in duo.MODIFIERS.values()) == duo.ALL


def test_permissions_are_the_contracts_in_order() -> None:
    source = (CONTRACTS / "interfaces" / "IConsentToken.sol").read_text()
    found = re.search(r"enum Permission \{([^}]*)\}", source)
    assert found is not None
    assert [name.strip() for name in found[1].split(",")] == [each.name for each in duo.Permission]
    for permission, (term, _) in duo.PERMISSIONS.items():
        assert f"{permission.name} {term}" in source


@given(st.sets(st.sampled_from(sorted(duo.MODIFIERS))))
def test_names_come_back_from_their_bits(names: set[str]) -> None:
    assert set(duo.modifiers(duo.bits(names))) == names


def test_words_for_people() -> None:
    assert (
        duo.in_words(duo.bits(["IRB", "PUB"])) == "PUB (publication required), IRB (ethics approval required)"
    )
    assert duo.in_words(0) == "none"
    assert duo.permission("HMB") is duo.Permission.HMB


def test_what_duo_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'XYZ' is not a DUO modifier"):
        duo.bits(["IRB", "XYZ"])
    with pytest.raises(InvalidInput, match="'ANY' is not a DUO permission"):
        duo.permission("ANY")
    with pytest.raises(InvalidInput, match="no DUO modifier"):
        duo.modifiers(1 << 20)
