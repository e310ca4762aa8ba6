from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content.cid import digest_of, from_cid, to_cid
from protocol.content.ipfs import Ipfs
from protocol.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[3]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "content_ids.json").read_text())
filled = runpy.run_path(str(ROOT / "scripts" / "make_vectors.py"))["filled"]


def case_name(case):
    return f"{case['rule']}-{case['length']}"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=case_name)
def test_the_vectors_have_these_ids(case):
    digest = digest_of(filled(case["rule"], case["length"]))
    assert "0x" + digest.hex() == case["digest"]
    assert to_cid(digest) == case["cid"]
    assert from_cid(case["cid"]) == digest


@pytest.mark.parametrize("case", VECTORS["cases"], ids=case_name)
def test_a_daemon_gives_the_same_ids(ipfs_daemon, case):
    with Ipfs(ipfs_daemon) as ipfs:
        named = ipfs._client.add_bytes(filled(case["rule"], case["length"]), opts={"pin": "false"})
    assert named == case["cid"]


@pytest.mark.parametrize(
    ("data", "cid"),
    [
        (b"", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
        (b"hello world\n", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"),
        (b"hello world", "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
    ],
)
def test_ids_that_kubo_is_known_to_give(data, cid):
    assert to_cid(digest_of(data)) == cid


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_survives_its_cid(digest):
    assert from_cid(to_cid(digest)) == digest


@given(st.binary(max_size=64))
def test_bytes_and_views_of_them_have_one_digest(data):
    assert digest_of(data) == digest_of(bytearray(data)) == digest_of(memoryview(data))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Qm",
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
        "Qm" + "0" * 44,
        "Qm" + "z" * 44,
        "/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
        "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5",
        "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ffö5",
    ],
)
def test_only_a_cidv0_is_a_cid(text):
    with pytest.raises(InvalidInput):
        from_cid(text)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_digest_has_32_bytes(length):
    with pytest.raises(InvalidInput):
        to_cid(bytes(length))
