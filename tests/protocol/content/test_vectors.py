from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content import merkle, vectors
from protocol.content.cid import digest_of
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.errors import ContentTooLarge, DigestMismatch, InvalidInput, WrongLength

LANES = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=600)


@pytest.fixture
def ipfs(ipfs_daemon):
    with Ipfs(ipfs_daemon) as client:
        yield client


@given(LANES)
def test_a_vector_survives_its_bytes(lanes):
    vector = np.array(lanes, np.int32)
    data = vectors.encode(vector)
    assert len(data) == 4 * len(lanes)
    for length in (len(lanes), None):
        read = vectors.decode(data, length)
        assert read.dtype == np.int32
        assert read.tolist() == lanes


def test_bytes_are_little_endian():
    assert vectors.encode(np.array([1, -2], np.int32)) == b"\x01\0\0\0\xfe\xff\xff\xff"
    assert vectors.encode(np.array([1], ">i4")) == b"\x01\0\0\0"


@pytest.mark.parametrize(("length", "lanes"), [(8, 1), (8, 3), (7, 2), (7, None), (0, None), (0, 1)])
def test_another_number_of_bytes_is_refused(length, lanes):
    with pytest.raises(WrongLength):
        vectors.decode(bytes(length), lanes)


@pytest.mark.parametrize(
    "vector", [np.ones(3), np.ones(3, np.int64), np.ones((1, 3), np.int32), np.array([], np.int32)]
)
def test_only_int32_vectors_are_written(vector):
    with pytest.raises(InvalidInput):
        vectors.encode(vector)


def test_a_reference_has_two_digests_of_32_bytes():
    with pytest.raises(InvalidInput):
        VectorRef(bytes(32), bytes(31))


def test_a_vector_comes_back_from_ipfs(ipfs):
    vector = np.random.default_rng(1).integers(-(2**31), 2**31, 100_000, dtype=np.int32)
    ref = vectors.put_vector(ipfs, vector)
    assert ref == vectors.reference(vector)
    assert ipfs.is_pinned(ref.cid)
    for lanes in (100_000, None):
        assert np.array_equal(vectors.get_vector(ipfs, ref, lanes), vector)


def test_a_vector_of_another_length_is_refused(ipfs):
    ref = vectors.put_vector(ipfs, np.ones(1000, np.int32))
    with pytest.raises(WrongLength):
        vectors.get_vector(ipfs, ref, 1001)
    with pytest.raises(ContentTooLarge):
        vectors.get_vector(ipfs, ref, 999)


def test_digests_that_do_not_belong_together_are_refused(ipfs):
    one, other = np.arange(300, dtype=np.int32), np.arange(1, 301, dtype=np.int32)
    ref = VectorRef(vectors.put_vector(ipfs, one).cid, merkle.chunk_root(other))
    with pytest.raises(DigestMismatch, match="another chunk root"):
        vectors.get_vector(ipfs, ref, 300)


def test_what_is_no_vector_is_refused(ipfs):
    data = b"12345"
    ref = VectorRef(ipfs.add(data), bytes(32))
    assert ref.cid == digest_of(data)
    with pytest.raises(WrongLength):
        vectors.get_vector(ipfs, ref)
