"""Keystores: encrypted files that only their owner reads."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from eth_account import Account

from protocol.chain.accounts import SCRYPT_N, Keystore, Signer
from protocol.errors import AccountError, InvalidInput

KEY = "0x" + "4c" * 32
ADDRESS = Account.from_key(KEY).address
PASSWORD = "correct horse battery staple"


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keystore", scrypt_n=2)


def test_a_new_account_opens_with_its_password(keystore: Keystore) -> None:
    made = keystore.new("cleveland-admin", PASSWORD)
    assert keystore.list() == [made]
    assert keystore.unlock("cleveland-admin", PASSWORD).address == made.address
    assert keystore.unlock(made.address.lower(), PASSWORD).address == made.address


def test_files_are_for_their_owner_alone(keystore: Keystore) -> None:
    made = keystore.new("cleveland-admin", PASSWORD)
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert keystore.folder.stat().st_mode & 0o777 == 0o700
    document = json.loads(made.path.read_text())
    assert (document["version"], document["crypto"]["kdf"]) == (3, "scrypt")


def test_the_default_cost_is_that_of_the_standard(tmp_path: Path) -> None:
    assert Keystore(tmp_path).scrypt_n == SCRYPT_N == 262_144


def test_a_wrong_password_is_refused(keystore: Keystore) -> None:
    keystore.new("cleveland-admin", PASSWORD)
    with pytest.raises(AccountError, match="cleveland-admin can not be opened with this password"):
        keystore.unlock("cleveland-admin", "wrong")


def test_an_unknown_account_is_refused(keystore: Keystore) -> None:
    with pytest.raises(AccountError, match="no account nobody"):
        keystore.unlock("nobody", PASSWORD)
    assert keystore.list() == []


def test_imports_a_private_key(keystore: Keystore) -> None:
    assert keystore.import_key("basel", KEY + "\n", PASSWORD).address == ADDRESS
    assert keystore.unlock("basel", PASSWORD).address == ADDRESS


def test_imports_a_keystore_of_another_program(keystore: Keystore) -> None:
    document = json.dumps(Account.encrypt(KEY, "theirs", kdf="pbkdf2", iterations=2))
    with pytest.raises(InvalidInput, match="needs the password"):
        keystore.import_key("basel", document, PASSWORD)
    with pytest.raises(AccountError, match="can not be opened"):
        keystore.import_key("basel", document, PASSWORD, key_password="wrong")
    assert keystore.import_key("basel", document, PASSWORD, key_password="theirs").address == ADDRESS
    assert keystore.unlock("basel", PASSWORD).address == ADDRESS


@pytest.mark.parametrize("key", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32, "{", '{"version": 3}'])
def test_refuses_what_is_no_key_and_does_not_repeat_it(keystore: Keystore, key: str) -> None:
    with pytest.raises((InvalidInput, AccountError)) as error:
        keystore.import_key("basel", key, PASSWORD, key_password="x")
    assert error.value.__cause__ is None or not key or key not in str(error.value.__cause__)
    assert keystore.list() == []


def test_a_name_or_account_is_taken_once(keystore: Keystore) -> None:
    keystore.import_key("basel", KEY, PASSWORD)
    with pytest.raises(AccountError, match="already an account named basel"):
        keystore.new("basel", PASSWORD)
    with pytest.raises(AccountError, match="already here as basel"):
        keystore.import_key("bern", KEY, PASSWORD)
    assert [each.name for each in keystore.list()] == ["basel"]


@pytest.mark.parametrize("name", ["", "../escape", "a/b", "-x", ".hidden", "x" * 65, ADDRESS])
def test_refuses_names_that_are_none(keystore: Keystore, name: str) -> None:
    with pytest.raises(InvalidInput, match="not a name"):
        keystore.new(name, PASSWORD)


def test_refuses_an_empty_password(keystore: Keystore) -> None:
    with pytest.raises(InvalidInput, match="password is empty"):
        keystore.new("basel", "")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"address": 5}', '{"address": "0x12"}'])
def test_says_which_file_is_no_keystore(keystore: Keystore, text: str) -> None:
    keystore.folder.mkdir()
    (keystore.folder / "odd.json").write_text(text)
    with pytest.raises(AccountError, match=r"odd\.json is not a keystore"):
        keystore.list()


def test_notices_a_file_that_names_another_address(keystore: Keystore) -> None:
    made = keystore.new("basel", PASSWORD)
    document = json.loads(made.path.read_text())
    made.path.write_text(json.dumps({**document, "address": "11" * 20}))
    with pytest.raises(AccountError, match="another account's key"):
        keystore.unlock("basel", PASSWORD)


def test_nothing_shows_a_key(keystore: Keystore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        keystore.import_key("basel", KEY, PASSWORD)
        signer = keystore.unlock("basel", PASSWORD)
    assert repr(signer) == f"Signer({ADDRESS})"
    for text in (repr(signer), str(signer), repr(keystore.list()), caplog.text):
        assert "4c4c4c" not in text
    assert PASSWORD not in caplog.text


def test_refuses_a_malformed_transaction() -> None:
    with pytest.raises(InvalidInput, match="cannot be signed"):
        Signer.from_key(KEY).sign_transaction({"to": "nowhere"})
    with pytest.raises(InvalidInput, match="cannot be signed"):
        Signer.from_key(KEY).sign_typed_data({"types": {}, "primaryType": "X", "domain": {}, "message": {}})
