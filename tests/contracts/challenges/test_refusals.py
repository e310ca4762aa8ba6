"""What a claim must show before it is judged at all."""

from __future__ import annotations

import numpy as np
import pytest
from claims import Merge, Vector

LANES = 1_100  # five chunks; the last stands alone at two levels


@pytest.fixture(scope="module")
def done():
    """An honest merge of round 3, by four hospitals in two groups."""
    rng = np.random.default_rng(7)
    updates = {index: Vector(rng.integers(-9, 9, LANES)) for index in (0, 1, 4, 6)}
    labels = 0x1010010  # hospitals 1, 4 and 6 in group 1
    sums = [updates[0].lanes, updates[1].lanes + updates[4].lanes + updates[6].lanes]
    before = Vector(rng.integers(-99, 99, LANES))
    result = Vector(before.lanes + (sums[0].astype(np.int64) + sums[1]) // 2)
    return Merge(
        before, updates, result, round=3, attempt=2, labels=labels, previous=(9, b"\x07" * 32, before.named)
    )


@pytest.fixture
def posted(post, done):
    """The same, and it stands."""
    post(done)
    return done


def with_part(claim, place, **changes):
    """The claim with another field in one of its parts."""
    names = ("index", "update", "chunk")
    part = tuple(changes.get(name, value) for name, value in zip(names, claim.parts[place], strict=True))
    return claim._replace(parts=[*claim.parts[:place], part, *claim.parts[place + 1 :]])


def test_it_is_judged_in_every_chunk(posted, check):
    assert [check(posted.claim(chunk)) for chunk in range(5)] == [False] * 5


WRONG_CLAIMS = {
    "another attempt": lambda claim, _done: claim._replace(attempt=3),
    "other labels": lambda claim, _done: claim._replace(labels=0x1010110),
    "no labels": lambda claim, _done: claim._replace(labels=0),
    "another next state": lambda claim, done: claim._replace(
        next=done.before.named, claimed=done.before.chunk(claim.chunk_index)
    ),
    "another name of the next state": lambda claim, _done: claim._replace(next=(b"\x01" * 32, claim.next[1])),
    "a part missing": lambda claim, _done: claim._replace(parts=claim.parts[:-1]),
    "a part twice": lambda claim, _done: claim._replace(parts=[*claim.parts, claim.parts[-1]]),
    "no parts": lambda claim, _done: claim._replace(parts=[]),
    "another order": lambda claim, _done: claim._replace(parts=claim.parts[::-1]),
    "another hospital": lambda claim, _done: with_part(claim, 1, index=2),
    "another update": lambda claim, done: with_part(
        claim, 1, update=done.before.named, chunk=done.before.chunk(claim.chunk_index)
    ),
    "updates exchanged": lambda claim, _done: with_part(
        with_part(claim, 0, update=claim.parts[1][1], chunk=claim.parts[1][2]),
        1,
        update=claim.parts[0][1],
        chunk=claim.parts[0][2],
    ),
}


@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_it_must_be_the_merge_that_stands(posted, check, reverts, name):
    with reverts("WrongClaim", posted.job_id, 3):
        check(WRONG_CLAIMS[name](posted.claim(2), posted))


@pytest.mark.parametrize("other", [0, 2, 4, 65_535])
def test_a_round_without_that_merge(posted, check, reverts, other):
    with reverts("WrongClaim", posted.job_id, other):
        check(posted.claim(2)._replace(round=other))


def test_a_round_that_is_not_merged(posted, check, scripted, deployer, reverts):
    scripted.scriptMerge(3, b"\0" * 32, {"from": deployer})
    with reverts("WrongClaim", posted.job_id, 3):
        check(posted.claim(2))


WRONG_PREVIOUS = {
    "attempt": lambda previous: (8, *previous[1:]),
    "accumulator": lambda previous: (previous[0], b"\x08" * 32, previous[2]),
    "name": lambda previous: (*previous[:2], (b"\x01" * 32, previous[2][1])),
    "nothing": lambda _previous: (0, b"\0" * 32, (b"\0" * 32, b"\0" * 32)),
}


@pytest.mark.parametrize("name", WRONG_PREVIOUS)
def test_the_merge_before_must_stand(posted, check, reverts, name):
    with reverts("WrongClaim", posted.job_id, 2):
        check(posted.claim(2)._replace(previous=WRONG_PREVIOUS[name](posted.previous)))


def test_the_state_before_is_not_for_the_challenger_to_choose(posted, check, reverts):
    """A state with another root, proved by itself."""
    other = Vector(posted.before.lanes + 1)
    claim = posted.claim(2)._replace(previous=(*posted.previous[:2], other.named), before=other.chunk(2))
    with reverts("WrongClaim", posted.job_id, 2):
        check(claim)


def test_the_base_is_not_for_the_challenger_to_choose(post, done, check, reverts):
    """In round 1 the base version's state stands, whatever `previous` says."""
    first = done.but(round=1)
    post(first)
    assert check(first.claim(2)) is False
    other = Vector(done.before.lanes + 1)
    with reverts("BadChunk", 4):
        check(first.claim(2)._replace(previous=(9, b"\x07" * 32, other.named), before=other.chunk(2)))


def flipped(data, place):
    """The bytes with one bit changed."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


BAD_CHUNKS = {
    "a byte changed": lambda lanes, path, _vector: (flipped(lanes, 1_023), path),
    "a byte short": lambda lanes, path, _vector: (lanes[:-1], path),
    "a byte long": lambda lanes, path, _vector: (lanes + b"\0", path),
    "empty": lambda _lanes, path, _vector: (b"", path),
    "a sibling changed": lambda lanes, path, _vector: (lanes, [*path[:-1], flipped(path[-1], 0)]),
    "siblings exchanged": lambda lanes, path, _vector: (lanes, [path[1], path[0], *path[2:]]),
    "path short": lambda lanes, path, _vector: (lanes, path[:-1]),
    "path long": lambda lanes, path, _vector: (lanes, [*path, b"\0" * 32]),
    "no path": lambda lanes, _path, _vector: (lanes, []),
    "another chunk": lambda _lanes, _path, vector: vector.chunk(3),
    "another chunk on this path": lambda _lanes, path, vector: (vector.chunk(3)[0], path),
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_each_chunk_must_be_proved(posted, check, reverts, name):
    vectors = [*posted.updates.values(), posted.before, posted.next]
    for place, vector in enumerate(vectors):
        claim = posted.claim(2)
        bad = BAD_CHUNKS[name](*vector.chunk(2), vector)
        if place < 4:
            claim = with_part(claim, place, chunk=bad)
        else:
            claim = claim._replace(**{"before" if place == 4 else "claimed": bad})
        with reverts("BadChunk", place):
            check(claim)


def test_a_node_is_not_a_chunk(post, check, reverts):
    """Two leaves side by side are no leaf: the tags differ."""
    vector = Vector(np.arange(512))
    done = Merge(vector, {0: Vector(np.zeros(512))}, vector)
    post(done)
    lanes, path = vector.chunk(0)
    with reverts("BadChunk", 2):
        check(done.claim(0)._replace(claimed=(lanes, [*path, path[0]])))
    with reverts("BadChunk", 2):
        check(done.claim(0)._replace(claimed=(lanes, [])))


@pytest.mark.parametrize("index", [5, 6, 2**32 - 1])
def test_there_are_only_so_many_chunks(posted, check, reverts, index):
    with reverts("NoSuchChunk", index, LANES):
        check(posted.claim(2)._replace(chunk_index=index))


def test_lanes_are_those_of_the_job(posted, check, scripted, deployer, reverts):
    """The leaf binds how many there are: the same chunk of a vector of 1,101 lanes is another."""
    scripted.script((LANES + 1, 65_536, 0, 16, False), b"\0" * 32, {"from": deployer})
    with reverts("BadChunk", 0):
        check(posted.claim(4))


def test_what_it_finds_goes_to_the_jobs(posted, post, challenges, scripted, stranger):
    """The verdict, the accumulator that the digest binds, and the hospital that asked."""
    for merge, proven in ((posted, False), (posted.but(next=posted.before), True)):
        post(merge)
        tx = challenges.challenge(scripted, merge.claim(2), {"from": stranger})
        ruling = scripted.decided()
        assert ruling["jobId"] == 5
        assert ruling["round"] == 3
        assert bytes(ruling["accumulator"]) == merge.accumulator
        assert ruling["challengerId"] == scripted.OPERATOR_OF()
        assert ruling["proven"] is proven
        assert dict(tx.events["Challenged"]) == {
            "jobs": scripted,
            "jobId": 5,
            "round": 3,
            "challengerId": scripted.OPERATOR_OF(),
            "chunkIndex": 2,
            "proven": proven,
        }
