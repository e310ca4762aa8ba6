"""What a job costs: gas of each transaction, by who pays for it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.client import Chain

# Gas of one transaction each. `make bench` measures them; tests hold them to the contracts' committed table. Whoever
# opens a round looks at every hospital's consent, so that opening and merging grow with their number.
PROPOSE = 355_000
ENROL = 136_000
UNLOCK = 37_500
OPEN = 62_000
SUBMIT = 77_000
MERGE = 103_000
OPEN_PER_HOSPITAL = 3_400
# Where groups are drawn, somebody draws each round, and a submit looks at the draw.
DRAW = 38_000
DRAW_PER_HOSPITAL = 1_600
SUBMIT_IN_GROUP = 2_700
REPORT = 55_000
# A hospital's first reward in a token takes new storage; one that was paid in it before costs 50,000 less.
FINISH = 195_000
FINISH_PER_HOSPITAL = 76_000


@dataclass(frozen=True)
class JobCost:
    """Gas of a job without incident. ``hospital``: the most that one hospital pays; ``researcher``: to propose it."""

    researcher: int
    hospital: int
    total: int

    def in_wei(self, gas_price_wei: int) -> dict[str, int]:
        """The same in the chain's currency."""
        return {
            "researcher": self.researcher * gas_price_wei,
            "hospital": self.hospital * gas_price_wei,
            "total": self.total * gas_price_wei,
        }


def gas_price_wei(chain: Chain) -> int:
    """What the node thinks that a unit of gas costs now."""
    return int(chain.rpc.request("eth_gasPrice"), 16)


def job_cost(rounds: int, hospitals: int, *, grouped: bool = False) -> JobCost:
    """What a job of this many rounds and hospitals costs, each round at its first attempt; ``grouped``: with groups.

    A submit attests the merge before it, a report the last one, so nothing is sent for attesting alone. A bond is
    locked by enrolling, and freed by a transaction of its own; its deposit serves one job after another.
    """
    draw = DRAW + DRAW_PER_HOSPITAL * hospitals if grouped else 0
    submit = SUBMIT + SUBMIT_IN_GROUP if grouped else SUBMIT
    opening = OPEN + OPEN_PER_HOSPITAL * hospitals
    merge = MERGE + OPEN_PER_HOSPITAL * hospitals
    finish = FINISH + FINISH_PER_HOSPITAL * hospitals
    merges = -(-rounds // hospitals)
    return JobCost(
        researcher=PROPOSE,
        hospital=ENROL + UNLOCK + opening + rounds * submit + merges * (draw + merge) + REPORT + finish,
        total=PROPOSE
        + opening
        + hospitals * (ENROL + UNLOCK + REPORT)
        + rounds * (hospitals * submit + draw + merge)
        + finish,
    )
