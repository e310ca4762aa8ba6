"""Runs every attack, prints what each achieved, and writes docs/ATTACKS.md.

make attacks
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from protocol.demo.data import DemoData
from tests.attacks import inversion, keys, network, poisoning, singling
from tests.attacks.report import render

MEASURED = Path(__file__).with_name("measured.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "ATTACKS.md"


def main() -> None:
    console = Console()
    started = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:4.0f} s  {line}[/dim]")

    figures = {"network": network.run(say), "poisoning": poisoning.run(say)}
    say("Colluders and stolen job keys")
    figures["keys"] = keys.run()
    say("Gradient inversion")
    figures["inversion"] = inversion.run()
    say("A base state that is a trap")
    _, note, federation = poisoning.four()
    figures["singling"] = singling.run(federation, [each.name for each in DemoData.find().hospitals])
    if note:
        console.print(f"[yellow]{note}[/yellow]")
    MEASURED.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    page = render(figures)
    PAGE.write_text(page, encoding="utf-8")
    console.print(Markdown(page))
    say(f"Written to {PAGE.relative_to(PAGE.parents[1])}")


if __name__ == "__main__":
    main()
