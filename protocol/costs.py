"""What a job costs: gas of each transaction, by who pays for it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.client import Chain

# Gas of one transaction each, medians of the demonstration's chain (`make bench` prints them anew).
PROPOSE = 430_000
ENROL = 150_000
OPEN = 60_000
SUBMIT = 90_000
MERGE = 85_000
REPORT = 75_000
FINISH = 250_000
FINISH_PER_HOSPITAL = 110_000


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


def job_cost(rounds: int, hospitals: int) -> JobCost:
    """What a job of this many rounds and hospitals costs, each round at its first attempt.

    A submit attests the merge before it, a report the last one, so nothing is sent for attesting alone.
    """
    merges = -(-rounds // hospitals)
    finish = FINISH + FINISH_PER_HOSPITAL * hospitals
    return JobCost(
        researcher=PROPOSE,
        hospital=ENROL + OPEN + rounds * SUBMIT + merges * MERGE + REPORT + finish,
        total=PROPOSE + OPEN + hospitals * (ENROL + REPORT) + rounds * (hospitals * SUBMIT + MERGE) + finish,
    )
