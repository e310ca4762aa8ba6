"""The draw of a round's groups, repeated: from the hash of a block that came after the participants were fixed."""

from __future__ import annotations

from protocol.chain.client import Chain
from protocol.learning import groups
from protocol.record import Attempt, Drawing, JobRecord
from protocol.trace.check import Check

#: How far back a contract can look for the hash of a block.
BLOCK_HASHES = 256


def check_groups(chain: Chain, parent: Check, record: JobRecord, attempt: Attempt) -> None:
    """Whether the groups that were merged are those that the draw gives, and each of them has three members."""
    rule = record.proposal.merge
    if rule.groups > 1:
        _check_draw(chain, parent, record, attempt, rule.groups)
    if rule.groups > 1 or rule.masked:
        sizes = [len(group) for group in record.groups(attempt)]
        parent.add(
            "each sum that can be read is one of three hospitals or more",
            min(sizes, default=0) >= groups.SMALLEST,
            f"groups of {', '.join(map(str, sizes))}",
        )


def _check_draw(chain: Chain, parent: Check, record: JobRecord, attempt: Attempt, most: int) -> None:
    drawing = attempt.drawing
    if drawing is None:
        parent.add("its groups were drawn", False, "no event draws them")
        return
    drawn = sorted(record.participants[each].index for each in record.members(drawing.participants))
    parent.add(
        "the groups are those that the seed gives",
        groups.draw(drawing.seed, drawn, most) == drawing.labels
        and not attempt.participants & ~drawing.participants,
        f"{len(groups.split(drawing.labels, drawn))} of {len(drawn)} hospitals",
    )
    block = _block_of_seed(chain, record, drawing)
    parent.add(
        "the seed is the hash of a block that came after the participants were fixed",
        block is not None,
        f"block {block}" if block is not None else f"0x{drawing.seed.hex()} is the hash of no such block",
    )


def _block_of_seed(chain: Chain, record: JobRecord, drawing: Drawing) -> int | None:
    """The block whose hash the seed is: the first one after the opening; where nobody drew in time, a later one that
    the contract could still see."""
    opened = next(
        attempt.opened.block
        for each in record.rounds.values()
        for attempt in reversed(each.attempts.values())
        if attempt.drawing is drawing and attempt.opened.place < drawing.event.place
    )
    late = range(max(opened + 2, drawing.event.block - BLOCK_HASHES), drawing.event.block)
    for numbers in ([opened + 1], list(late)):
        asked = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        for number, block in zip(numbers, chain.rpc.batch(asked) if asked else [], strict=True):
            if block and block["hash"].lower() == "0x" + drawing.seed.hex():
                return number
    return None
