"""DESIGN, "Digests": bytes are used only after they were checked. One byte of one block in the IPFS repository, another
file in its place, or none: `salus trace` says which and exits 1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.content import vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.trace import trace
from tests.integration.stage import Stage
from tests.integration.story import Finished


def update(finished: Finished) -> tuple[VectorRef, list[str]]:
    """The second update of round 2, and where trace shows it."""
    chosen = finished.record.round(2).merged_updates[1]
    return chosen.ref, ["round 2", f"update of hospital {chosen.hospital_id}", "bytes"]


def state(finished: Finished) -> tuple[VectorRef, list[str]]:
    """The state after round 3."""
    return finished.record.round(3).merge.state, ["round 3", "state"]


def altered(block: Path, _other: Path) -> None:
    """One bit in the middle of the block, which is within the vector."""
    content = bytearray(block.read_bytes())
    content[len(content) // 2] ^= 1
    block.write_bytes(content)


def swapped(block: Path, other: Path) -> None:
    block.write_bytes(other.read_bytes())


def deleted(block: Path, _other: Path) -> None:
    block.unlink()


@contextmanager
def damaged(
    stage: Stage, ref: VectorRef, other: VectorRef, damage: Callable[[Path, Path], None]
) -> Iterator[None]:
    """The daemon's repository with one block damaged; whole again afterwards."""
    block, donor = block_of(stage, ref), block_of(stage, other)
    before = block.read_bytes()
    stage.devnet.ipfs.stop()
    try:
        damage(block, donor)
        stage.devnet.up()
        yield
    finally:
        stage.devnet.ipfs.stop()
        block.write_bytes(before)
        stage.devnet.up()


def block_of(stage: Stage, ref: VectorRef) -> Path:
    """The file of the block that holds a vector: it is small, so there is one."""
    content = vectors.encode(vectors.get_vector(stage.ipfs, ref))
    found = [
        path for path in (stage.devnet.ipfs.folder / "blocks").rglob("*.data") if content in path.read_bytes()
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("pick", "damage"), [(update, altered), (state, altered), (update, swapped)])
def test_trace_names_what_was_damaged(
    finished: Finished, stage: Stage, pick: Callable, damage: Callable
) -> None:
    ref, place = pick(finished)
    other = finished.record.round(1).merged_updates[0].ref
    with damaged(stage, ref, other, damage):
        result = stage.salus("trace", finished.name, "--json")
    assert result.returncode == 1, result.stdout + result.stderr
    document = json.loads(result.stdout)
    assert document["ok"] is False
    named = [failure for failure in document["failures"] if to_cid(ref.cid) in failure["detail"]]
    assert [failure["path"][-len(place) :] for failure in named] == [place]
    # A damaged update leaves its own round's merge unproven, a damaged state only itself: each is recomputed.
    rounds = {
        part for failure in document["failures"] for part in failure["path"] if part.startswith("round ")
    }
    assert rounds == {place[0]}


def test_trace_holds_again_when_the_bytes_are_back(finished: Finished, stage: Stage) -> None:
    result = stage.salus("trace", finished.name, "--json")
    assert json.loads(result.stdout)["failures"] == []
    assert result.returncode == 0


def test_missing_checkpoints_are_named(finished: Finished, stage: Stage) -> None:
    """A state whose block is gone from the disk, and an update that nobody pinned and the daemon collected."""
    lost, collected = finished.record.round(3).merge.state, finished.record.round(4).merged_updates[0]
    kept = stage.ipfs.fetch(collected.ref.cid)
    stage.freeze(*stage.hospitals)
    try:
        stage.ipfs.unpin(collected.ref.cid)
        stage.collect_garbage()
        with damaged(stage, lost, lost, deleted), Ipfs(stage.ipfs_api, timeout_seconds=3) as impatient:
            checked = trace(stage.chain, impatient, finished.model_id, finished.version)
    finally:
        stage.ipfs.add(kept)
        stage.thaw(*stage.hospitals)
    assert not checked.holds
    missing = [path[1:] for path, failure in checked.failing_paths() if "Nobody serves" in failure.detail]
    assert [path[-2:] for path in missing] == [
        ["round 3", "state"],
        [f"update of hospital {collected.hospital_id}", "bytes"],
    ], missing
