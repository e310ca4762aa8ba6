"""``python -m protocol.cli``."""

from __future__ import annotations

from protocol.cli import main

main(prog_name="salus")
