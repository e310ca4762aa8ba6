"""Sealing: what was altered, or belongs elsewhere, does not open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import VaultError
from protocol.vault.sealed import KEY_BYTES, Sealer

SEALER = Sealer(bytes(range(KEY_BYTES)))


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_what_was_sealed_opens(content: bytes, about: bytes) -> None:
    assert SEALER.open(SEALER.seal(content, about), about) == content


def test_the_same_content_is_never_sealed_the_same() -> None:
    assert SEALER.seal(b"content", b"") != SEALER.seal(b"content", b"")


def test_any_flipped_bit_is_noticed() -> None:
    sealed = SEALER.seal(b"content", b"about")
    for place in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[place // 8] ^= 1 << place % 8
        with pytest.raises(VaultError):
            SEALER.open(bytes(altered), b"about")


@pytest.mark.parametrize("length", [0, 5, 12, 20, 30])
def test_what_was_cut_is_noticed(length: int) -> None:
    with pytest.raises(VaultError):
        SEALER.open(SEALER.seal(b"content", b"about")[:length], b"about")


def test_it_opens_for_what_it_is_about_and_under_its_own_key_alone() -> None:
    sealed = SEALER.seal(b"content", b"one")
    with pytest.raises(VaultError):
        SEALER.open(sealed, b"another")
    with pytest.raises(VaultError):
        Sealer(bytes(KEY_BYTES)).open(sealed, b"one")


def test_derived_keys_differ_by_purpose_and_stay_the_same() -> None:
    keys = {SEALER.derive("one"), SEALER.derive("two"), Sealer(bytes(KEY_BYTES)).derive("one")}
    assert len(keys) == 3 and {len(key) for key in keys} == {KEY_BYTES}
    assert SEALER.derive("one") == Sealer(bytes(range(KEY_BYTES))).derive("one")


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(VaultError, match="32 bytes, not 5"):
        Sealer(b"short")
