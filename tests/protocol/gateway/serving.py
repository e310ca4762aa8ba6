"""A gateway in a process of its own, for tests to kill: python -m tests.protocol.gateway.serving HOME.

Its port stands in HOME/gateway/status.json, as any gateway's does.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from protocol.gateway.scp import Address
from protocol.gateway.service import Gateway
from tests.protocol.gateway.hospital import cleaning_in, vault_in


def main(home: Path) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    own = home / "gateway"
    address = Address(port=0, certificate=own / "certificate.pem", key=own / "key.pem")
    Gateway(home, vault_in(home), address, cleanings=[cleaning_in(home)]).run(stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
