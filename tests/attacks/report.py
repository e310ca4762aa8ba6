"""docs/ATTACKS.md from the measured figures: what each attack achieves, without and with what stands against it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from tests.attacks.network import WORDS
from tests.attacks.poisoning import FREE_RIDERS, WORST

ETHER = 10**18
MARGIN = 120


def render(figures: dict[str, Any]) -> str:
    """The whole page, Markdown."""
    parts = [
        HEAD,
        _four(figures["poisoning"]["four"]),
        _eighteen(figures["poisoning"]),
        _riders(figures["poisoning"]),
        _merges(figures["network"]),
        _outcomes(
            "## Replays and submissions across jobs",
            SUBMISSIONS,
            "what is tried on the deployed contracts",
            figures["network"]["submissions"],
        ),
        _outcomes(
            "## A stolen operator key",
            STOLEN_OPERATOR,
            "what the thief tries while a job is open",
            figures["network"]["stolen operator"],
        ),
        _keys(figures["keys"], figures["network"]),
        _inversion(figures["inversion"]),
        _singling(figures["singling"], figures["network"]["researcher"]),
        TAIL,
    ]
    return "\n\n".join(_filled(block) for part in parts for block in part.strip().split("\n\n")) + "\n"


def _filled(block: str) -> str:
    """A paragraph within the margin; headings and tables as they are."""
    return block if block.startswith(("#", "|")) else textwrap.fill(" ".join(block.split()), MARGIN)


HEAD = """# Attacks, measured

Made by `make attacks`; do not edit. Every attack is code that runs (`tests/attacks/`), against the product's own
training, masks, merge, nodes and deployed contracts. What is not defended is in the tables too. The threat model in
words is in [THREATS.md](THREATS.md).
"""

SUBMISSIONS = """
The two that go through spoil the sum: masks that do not belong to it do not cancel in it, and the state becomes noise,
as in the last row of the tables of false updates. The contract cannot tell such an update from a true one; nobody can,
which is what masks are for. Groups with the median contain it as they contain any false update.
"""

STOLEN_OPERATOR = """
The operator's key is the hot one. Its thief can act as the hospital in jobs, and so poison them or burn the hospital's
bond by false merges and false challenges. Money, consents and the key itself answer to the admin alone. Reading the
hospital's updates takes the key **and** its home, while the job runs.
"""

TAIL = """
## How to read this

Accuracies are means over the seeds named, on all held-out records of all hospitals together; the smallest steps between
them are a few patients. A hospital reports its own accuracy to the gate, so an attacker can also lie there: the others'
reports are what holds. The rows say what these attacks reach, not that no better one exists.
"""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *[list(row) for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _poisoned(figures: dict[str, Any]) -> str:
    names = list(next(iter(figures["cells"].values())))
    rows = [
        [
            attack,
            *(f"{cells[name]['accuracy']:.3f} ({cells[name]['passed']}/{figures['jobs']})" for name in names),
        ]
        for attack, cells in figures["cells"].items()
        if attack not in FREE_RIDERS
    ]
    return _table(["attack", *names], rows)


def _four(figures: dict[str, Any]) -> str:
    note = f"\n\n{figures['note']}" if figures["note"] else ""
    return f"""## False updates: one hospital of four

{figures["title"]}; the largest hospital attacks, with {figures["share"]:.0%} of the training records. Accuracy after
the job, and in how many of {figures["jobs"]} seeds it passes the quality gate of {figures["gate"]:.2f}.{note}

{_poisoned(figures)}

A hospital whose records are poisoned, but whose node is honest, is bounded by clip and weight. A modified node keeps to
neither: masks hide what it sends, and four hospitals are too few for groups. **One of four that wants to ruin the model
can.** What stands against it is the gate, which keeps the ruined model from becoming a candidate, and that hospitals
are admitted by name."""


def _eighteen(poisoning: dict[str, Any]) -> str:
    figures = poisoning["eighteen"]
    names = list(next(iter(poisoning["threshold"].values())))
    rows = [
        [
            f"{count} of {figures['hospitals']}",
            *(f"{cells[name]['accuracy']:.3f} ({cells[name]['passed']}/{figures['jobs']})" for name in names),
            f"{cells[names[-1]]['overrun']:.0%}",
        ]
        for count, cells in poisoning["threshold"].items()
    ]
    return f"""## False updates: {figures["attackers"]} hospitals of {figures["hospitals"]}

{figures["title"]}; the attackers hold {figures["share"]:.0%} of the training records; gate {figures["gate"]:.2f}.

{_poisoned(figures)}

From how many attackers on the median gives way, by the worst of these: {WORST}. The last column is the share of rounds
in which attackers sat in half of the groups or more:

{_table(["attackers", *names, "rounds overrun"], rows)}

**The median holds while fewer than half of the groups have an attacker in them.** Eighteen hospitals make at most six
groups of three. Two attackers can never sit in three groups; three do whenever the draw puts them apart, and one such
round is enough. Against n attackers a job needs 2n + 1 groups: 21 hospitals for three."""


def _riders(poisoning: dict[str, Any]) -> str:
    rows = []
    for size in ("four", "eighteen"):
        figures = poisoning[size]
        name = next(iter(figures["cells"]["no attack"]))
        honest = figures["cells"]["no attack"][name]["accuracy"]
        for attack in FREE_RIDERS:
            rows.append(
                [
                    f"{attack}, {figures['attackers']} of {figures['hospitals']}",
                    f"{honest:.3f}",
                    f"{figures['cells'][attack][name]['accuracy']:.3f}",
                    f"{figures['share']:.0%}",
                ]
            )
    head = ["free riders send", "accuracy without them", "with them", "their part of the hospitals' reward"]
    return f"""## Free riders

{_table(head, rows)}

A free rider is paid as if it had trained: contribution is training records times final rounds, and under masks nobody
sees what a hospital sent. **There is no defence in the protocol.** The cost to the model is small, since the others'
updates carry it; what stands against it is admission, and that the hospital's own held-out report is public."""


def _merges(figures: dict[str, Any]) -> str:
    unchecked = figures["unchecked"]
    rows = [
        [
            WORDS[fault],
            "yes" if each["by challenge"] and each["voided"] else "no",
            str(each["seconds"]),
            f"{each['slashed'] / ETHER:g}",
            "yes" if each["merged by another"] and each["same updates"] else "no",
            str(each["trace failures"]),
        ]
        for fault, each in figures["false merges"].items()
    ]
    head = [
        "attack by a real node",
        "proved on the chain, void",
        "seconds until then",
        "bond lost",
        "next in line merged the same updates",
        "failures in `salus trace`",
    ]
    slashed = "; ".join(
        f"hospital {who} lost {amount / ETHER:g}, "
        + (f"half of it to hospital {to}" if to else "all of it to the DAO")
        for who, amount, to in unchecked["slashed"]
    )
    final = "becomes final" if unchecked["final without a look"] else "does not become final"
    return f"""## False merges

{_table(head, rows)}

Without the defence, that is when the others sign without computing the merge, a merge with one number altered
**{final}**. One hospital that looks, even then, proves it with one chunk of 256 numbers ({unchecked["challenge gas"]:,}
gas with four hospitals): the merge is void, the job back in round {unchecked["back to round"]}. A challenge of the
honest merge that followed {"was proven, which is a defect" if unchecked["honest merge proven false"] else "failed"}.
Bonds: {slashed}. With nobody looking until bonds are free, the false state stays, and `salus trace` says so."""


def _outcomes(title: str, text: str, what: str, outcomes: dict[str, str]) -> str:
    rows = [[name, outcome] for name, outcome in outcomes.items()]
    return f"{title}\n\n{_table([what, 'outcome'], rows)}\n\n{text.strip()}"


def _keys(figures: dict[str, float], network: dict[str, Any]) -> str:
    rows = [[who, f"{cosine:.3f}"] for who, cosine in figures.items()]
    left = sum(each["keys left"] for each in network["false merges"].values())
    return f"""## Job keys and colluders

How much of one hospital's masked update each can read, as the cosine with the update before it was masked (three
hospitals; 1 is all, 0 is nothing):

{_table(["who", "cosine"], rows)}

After the jobs above ended, the homes of the four nodes held {left} of their mask keys. A thief who comes after the job
finds none; one who copied key and account during the job reads that hospital's updates, and of no other's. **All others
together always read the last one's update**: no masks prevent that."""


def _inversion(figures: dict[str, Any]) -> str:
    rows = [
        [
            f"{size} {'image' if size == '1' else 'images'}: {name}",
            f"{each['ssim']:.2f}",
            f"{each['psnr']:.1f}",
            f"{each['cosine']:.2f}",
        ]
        for size, attempts in figures.items()
        for name, each in attempts.items()
    ]
    return f"""## Gradient inversion

Images rebuilt from what three hospitals with so many images each published after one step of training a CNN
(scikit-learn's digits, 8 x 8; Geiping et al. 2020), against hospital 1's own images. SSIM and cosine of 1 are the image
itself.

{_table(["what is attacked", "SSIM", "PSNR, dB", "cosine"], rows)}

An unmasked update gives the images away. A masked one gives no more than random pixels do. **The merge is public by
design, and of few images it gives away much**, though not whose they are: masks turn one hospital's leak into that of
all together, and only differential privacy bounds that one. Real jobs have more records, more steps and larger images;
these are the attacker's best conditions."""


def _singling(figures: dict[str, Any], researcher: dict[str, str]) -> str:
    names = list(figures["records"])
    head = ["the trap is aimed at", *(f"{name} ({figures['records'][name]})" for name in names)]
    rows = [
        [f"{aim}; {attempt}", *(str(found[name]) for name in names)]
        for aim, attempts in figures["aimed at"].items()
        for attempt, found in attempts.items()
    ]
    outcomes = [[name, outcome] for name, outcome in researcher.items()]
    return f"""## A researcher's job built to single out one hospital

The researcher chooses the base state. As a trap (Fowl et al. 2022) it makes neighbouring neurons learn single records,
and **the merge of a masked job shows them: masks do not help**, for they leave the sum as it is. Training records read
in all columns (of so many), after one round:

{_table(head, rows)}

DP-SGD here has noise multiplier {figures["noise_multiplier"]:g}: epsilon {figures["epsilon"]:.1f} for a record at delta
{figures["delta"]:g}. Other jobs of this kind, on the network:

{_table(["what the researcher tries", "outcome"], outcomes)}

What stands against a trap: a node's policy (architectures, researchers by address), consents for named researchers,
differential privacy. A policy that admits multi-layer models of any researcher admits the trap: nothing in a node looks
at what a base state is."""
