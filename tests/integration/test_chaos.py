"""DESIGN: "after `kill -9` at any point it reads chain and IPFS and goes on": the short form of `make chaos`."""

from __future__ import annotations

from tests.integration.chaos import Kill, draw, show, unleash
from tests.integration.stage import Stage

SEED, ROUNDS, KILLS = 20_261_122, 2, 8


def test_a_job_under_kills(stage: Stage) -> None:
    outcome = unleash(stage, SEED, ROUNDS, KILLS)
    show(outcome)
    assert outcome.holds, [check for check in outcome.checks if not check.holds]


def test_a_seed_is_a_plan() -> None:
    nodes = ["a", "b", "c", "d"]
    plan = draw(7, nodes, rounds=10, kills=30)
    assert plan == draw(7, nodes, rounds=10, kills=30) != draw(8, nodes, rounds=10, kills=30)
    assert {kill.victim for kill in plan} == {*nodes, "chain", "ipfs"}
    assert [kill.round for kill in plan] == sorted(kill.round for kill in plan)
    assert {kill.round for kill in plan} == set(range(12))
    assert any(kill.point for kill in plan) and any(_is_plain_kill_of_a_node(kill, nodes) for kill in plan)


def _is_plain_kill_of_a_node(kill: Kill, nodes: list[str]) -> bool:
    return kill.victim in nodes and not kill.point
