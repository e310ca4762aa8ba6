"""A job under random kills: which process dies, when, and how long it stays down is drawn from a seed.

    make chaos SEED=7           or: python -m tests.integration.chaos --seed 7 --rounds 10 --kills 30

Each kill is a SIGKILL, and each victim is started again: a node, the chain (Ganache on its database) or the IPFS
daemon. A node dies where it happens to be, or is started again so that it dies at a named point of its work: see
`dying_node`.
The processor decides what runs between the kills, so a seed repeats the draws and not every interleaving.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from protocol.errors import ChainError
from tests.integration.chaos_checks import Check, checks
from tests.integration.dying_node import ENROLLING, REPORTING, TRAINING
from tests.integration.kept import kept_unless_it_holds
from tests.integration.stage import ENDED, Actor, Stage

DYING = "tests.integration.dying_node"
DAEMONS = ("chain", "ipfs")
LONGEST_WAIT_SECONDS, LONGEST_DOWN_SECONDS = 0.6, 0.6
AIMED = 0.5
# Deaths are noticed at once; the chain has more to do than to answer us.
POLL_SECONDS, LOOK_SECONDS = 0.02, 0.2
UP_SECONDS = 300
END_SECONDS = 300
# Longer than any run. The last check moves the chain's time beyond it.
RETAIN_SECONDS = 4 * 3600


@dataclass(frozen=True)
class Kill:
    """``wait`` seconds after ``round`` was seen open ``victim`` dies, and ``down`` seconds later it is started again:
    a node so that it dies once more at ``point``, unless that is empty. Round 0 is enrolment, the one after the last
    reporting."""

    round: int
    wait: float
    victim: str
    down: float
    point: str = ""


def draw(seed: int, nodes: Sequence[str], rounds: int, kills: int) -> list[Kill]:
    """Kills spread over the life of the job. Half of them meet nodes; each node and daemon has its turn, if there are
    enough for that."""
    chance = random.Random(seed)
    everyone = [*nodes, *DAEMONS]
    victims = [*everyone, *(chance.choice([*nodes, *DAEMONS, *DAEMONS]) for _ in range(kills))][:kills]
    chance.shuffle(victims)
    plan = []
    for number, victim in enumerate(victims):
        round = number * (rounds + 2) // kills
        points = ENROLLING if round == 0 else TRAINING if round <= rounds else REPORTING
        aims = victim not in DAEMONS and chance.random() < AIMED
        plan.append(
            Kill(
                round,
                wait=chance.uniform(0, LONGEST_WAIT_SECONDS),
                victim=victim,
                down=chance.uniform(0, LONGEST_DOWN_SECONDS),
                point=chance.choice(points) if aims else "",
            )
        )
    return plan


@dataclass
class Outcome:
    """What happened. ``deaths`` counts kills by victim, ``points`` those at a named point, which are among them;
    ``exits`` are ends of nodes that nobody killed."""

    seed: int
    seconds: float = 0.0
    deaths: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    exits: list[str] = field(default_factory=list)
    rounds: int = 0
    checks: list[Check] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)


class Chaos:
    """Kills and restarts while one job runs."""

    def __init__(self, stage: Stage, job_id: int, say: Callable[[str], None]) -> None:
        self.stage, self.job_id, self._say = stage, job_id, say
        self.deaths: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.exits: list[str] = []
        self.round, self.ended, self._look_at = 0, False, 0.0
        # Only then may the last window be skipped: the job must not end before its last kill.
        self._hurried = False
        self._armed: dict[str, str] = {}
        self._start_at: dict[str, tuple[float, str]] = {}
        self._restart: Future[object] | None = None
        self._pool = ThreadPoolExecutor(1)

    def run(self, plan: Sequence[Kill]) -> None:
        """Carries the plan out, and waits for the end of the job with every process up."""
        for number, kill in enumerate(plan, 1):
            self._wait_until(lambda kill=kill: self.round >= kill.round or self.ended, f"round {kill.round}")
            self._pause(kill.wait)
            self._wait_until(lambda kill=kill: self._up(kill.victim), f"{kill.victim} to be up")
            if self.ended:
                self._say(f"the job ended before kill {number} of {len(plan)}")
                break
            self._say(f"round {self.round}: kill {number} of {len(plan)} meets {kill.victim} {kill.point}")
            self._kill(kill)
        self._hurried = True
        self._wait_until(
            lambda: self.ended and all(self._up(each) for each in self._everyone()),
            f"the end of job {self.job_id}",
            END_SECONDS,
        )
        self._pool.shutdown()

    def _everyone(self) -> list[str]:
        return [*(actor.name for actor in self.stage.hospitals), *DAEMONS]

    def _actor(self, name: str) -> Actor:
        return next(actor for actor in self.stage.hospitals if actor.name == name)

    def _up(self, name: str) -> bool:
        if name in DAEMONS:
            return self._restart is None
        actor = self._actor(name)
        return actor.running and actor.status.get("pid") == actor.process.pid

    def _kill(self, kill: Kill) -> None:
        self.deaths[kill.victim] += 1
        if kill.victim in DAEMONS:
            os.kill(getattr(self.stage.devnet, kill.victim).pid(), signal.SIGKILL)
            self._restart = self._pool.submit(self._bring_up, kill.down)
        else:
            self.stage.kill(self._actor(kill.victim))
            self._armed.pop(kill.victim, None)
            self._start_at[kill.victim] = (time.monotonic() + kill.down, kill.point)

    def _bring_up(self, after_seconds: float) -> None:
        time.sleep(after_seconds)
        self.stage.devnet.up()

    def _tend(self) -> None:
        """Starts what is due, and looks at what has ended by itself and at how far the job is."""
        if self._restart is not None and self._restart.done():
            self._restart.result()
            self._restart = None
        for actor in self.stage.hospitals:
            if actor.running:
                continue
            if actor.name not in self._start_at:
                self._has_died(actor)
            due, point = self._start_at[actor.name]
            if time.monotonic() >= due:
                del self._start_at[actor.name]
                if point:
                    self._armed[actor.name] = point
                    self.stage.start(actor, module=DYING, fault=point)
                else:
                    self.stage.start(actor)
        if self._restart is None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            try:
                job = self.stage.job(self.job_id)
                self.ended = self.stage.has_ended(self.job_id) if self._hurried else job.status in ENDED
            except ChainError:
                return
            self.round = job.round

    def _has_died(self, actor: Actor) -> None:
        point, status = self._armed.pop(actor.name, ""), actor.process.returncode
        if point and status == -signal.SIGKILL:
            self.deaths[actor.name] += 1
            self.points[point] += 1
            self._say(f"round {self.round}: {actor.name} died {point}")
        else:
            self.exits.append(f"{actor.name} with status {status}")
            self._say(f"round {self.round}: {actor.name} ended with status {status}")
        self._start_at[actor.name] = (time.monotonic(), "")

    def _wait_until(self, condition: Callable[[], bool], what: str, seconds: float = UP_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        self._tend()
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {seconds:g} s\n{self.stage.scene()}")
            time.sleep(POLL_SECONDS)
            self._tend()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))
            self._tend()


def unleash(stage: Stage, seed: int, rounds: int, kills: int, say: Callable[[str], None] = print) -> Outcome:
    """Runs a job of ``rounds`` rounds under ``kills`` kills, then checks everything that `chaos_checks` names."""
    plan = draw(seed, [actor.name for actor in stage.hospitals], rounds, kills)
    before = stage.ipfs.pins()
    stage.start(*stage.hospitals)
    began = time.monotonic()
    first_block = stage.chain.head() + 1
    # A seed of its own: states that another job shares are kept for as long as that one says.
    job_id = stage.propose(
        rounds=rounds, training__seed=seed, retain_until=stage.chain.now() + RETAIN_SECONDS
    )
    chaos = Chaos(stage, job_id, say)
    chaos.run(plan)
    outcome = Outcome(seed, time.monotonic() - began, chaos.deaths, chaos.points, chaos.exits)
    outcome.rounds = stage.job(job_id).final_rounds
    outcome.checks = [
        Check("kills before the job ended", chaos.deaths.total() >= kills, f"{chaos.deaths.total()}"),
        Check("no node ended by itself", not chaos.exits, ", ".join(chaos.exits) or "none"),
        *checks(stage, job_id, first_block, before),
    ]
    return outcome


def show(outcome: Outcome) -> None:
    """The table of a run."""
    deaths = Table(
        "killed", "times", title=f"Seed {outcome.seed}: {outcome.rounds} rounds in {outcome.seconds:.0f} s"
    )
    for name, count in sorted(outcome.deaths.items()):
        deaths.add_row(name, str(count))
    deaths.add_row("all", str(outcome.deaths.total()), style="bold")
    for point, count in sorted(outcome.points.items()):
        deaths.add_row(f"  of them {point}", str(count))
    found = Table("check", "holds", "seen", title="At the end")
    for check in outcome.checks:
        found.add_row(check.name, "yes" if check.holds else "[red]NO", check.seen)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(deaths)
    console.print(found)


def main() -> int:
    """One run on a network of its own. Exit status 0 only if every check holds; otherwise the folder is kept."""
    arguments = argparse.ArgumentParser(description="One job under random kills.")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--kills", type=int, default=30)
    given = arguments.parse_args()
    print(f"seed {given.seed}", flush=True)
    with kept_unless_it_holds("chaos") as run:
        stage = Stage(run.devnet, run.folder / "hospitals")
        try:
            outcome = unleash(
                stage, given.seed, given.rounds, given.kills, lambda line: print(line, flush=True)
            )
            show(outcome)
            run.holds = outcome.holds
        finally:
            stage.kill(*stage.hospitals)
    return 0 if run.holds else 1


if __name__ == "__main__":
    sys.exit(main())
