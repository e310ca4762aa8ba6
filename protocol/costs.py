"""What a job costs: gas of each transaction, by who pays for it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.client import Chain

# Gas of one transaction each, rounded up from a job on a development chain; a test holds them to what is paid.
PROPOSE = 410_000
ENROL = 135_000
OPEN = 70_000
SUBMIT = 80_000
MERGE = 112_000
REPORT = 58_000
FINISH = 120_000
FINISH_PER_HOSPITAL = 115_000


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
