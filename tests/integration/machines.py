"""Several machines in one: network namespaces, each with an address of its own on a bridge between them.

Everything happens inside a user namespace of its own, so that no right is needed on the machine and nothing of it is
touched: `INSIDE` starts a program there. A namespace lives as long as something is in it or holds its file, so there is
nothing to take down. Which machine a thread is on decides where the sockets that it opens and the processes that it
starts are; `Machine.entered` moves the thread. See namespaces(7), user_namespaces(7), veth(4).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What starts a program in a user and network namespace of its own, as root there.
INSIDE = ("unshare", "--user", "--map-root-user", "--net")
NETWORK = "10.77.0"
BRIDGE = "between"
CLONE_NEWNET = 0x40000000
# linux/if_tun.h
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_BYTES = 65_536
TUN = Path("/dev/net/tun")

_libc = ctypes.CDLL(None, use_errno=True)


def obstacle() -> str:
    """Why this machine cannot do it; empty when it can."""
    if missing := [name for name in ("unshare", "ip") if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    # All that is needed later: a bridge, a pair of linked devices, a device that a program reads, another namespace.
    steps = [
        "ip link add probe0 type bridge",
        "ip link add probe1 type veth peer name probe2",
        f"test -w {TUN}",
        "unshare --net true",
    ]
    tried = subprocess.run(
        [*INSIDE, "sh", "-ec", "; ".join(steps)], capture_output=True, text=True, check=False
    )
    return f"network namespaces are forbidden here: {tried.stderr.strip()}" if tried.returncode else ""


class Machine:
    """One network namespace: number n has the address 10.77.0.n. Number 1 is the one that holds the bridge."""

    def __init__(self, number: int, namespace: int) -> None:
        self.address = f"{NETWORK}.{number}"
        self._namespace = namespace

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Moves the calling thread there, and back at the end."""
        before = _here()
        _enter(self._namespace)
        try:
            yield
        finally:
            _enter(before)
            os.close(before)


class Lan:
    """Machines on one bridge. The first is where this process runs."""

    def __init__(self) -> None:
        self._ports: dict[Machine, str] = {}
        self.first = Machine(1, _here())
        _ip("link set lo up")
        _ip(f"link add {BRIDGE} type bridge")
        _ip(f"link set {BRIDGE} up")
        _ip(f"address add {self.first.address}/24 dev {BRIDGE}")

    def add(self, delay_seconds: float = 0.0) -> Machine:
        """One more machine; with a delay each frame from and to it takes that long."""
        number = len(self._ports) + 2
        machine = Machine(number, _new_namespace())
        port = f"port{number}"
        if delay_seconds:
            self._add_slow(machine, port, delay_seconds)
        else:
            _ip(f"link add {port} type veth peer name wire{number}")
            _ip(f"link set wire{number} netns /proc/{os.getpid()}/fd/{machine._namespace}")
            with machine.entered():
                _ip(f"link set wire{number} name wire")
        with machine.entered():
            _ip("link set lo up")
            _ip("link set wire up")
            _ip(f"address add {machine.address}/24 dev wire")
        _ip(f"link set {port} master {BRIDGE} up")
        self._ports[machine] = port
        return machine

    def cut(self, machine: Machine) -> None:
        """Takes the machine off the network; what runs on it goes on."""
        _ip(f"link set {self._ports[machine]} down")

    def heal(self, machine: Machine) -> None:
        _ip(f"link set {self._ports[machine]} up")

    def _add_slow(self, machine: Machine, port: str, delay_seconds: float) -> None:
        """Two devices that this process reads and writes, with a queue between them: not every kernel has netem."""
        near = _tap(port)
        with machine.entered():
            far = _tap("wire")
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_relay, args=(source, sink, delay_seconds), daemon=True).start()


def _relay(source: int, sink: int, delay_seconds: float) -> None:
    """Passes frames on, each ``delay_seconds`` after it came, in their order."""
    waiting: deque[tuple[float, bytes]] = deque()
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([source], [], [], pause)[0]:
            waiting.append((time.monotonic() + delay_seconds, os.read(source, FRAME_BYTES)))
        while waiting and waiting[0][0] <= time.monotonic():
            try:
                os.write(sink, waiting.popleft()[1])
            except OSError:
                continue  # the device is down: the frame is lost, as on a wire


def _tap(name: str) -> int:
    """A device of the thread's namespace whose frames a program reads and writes; its file."""
    device = os.open(TUN, os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _new_namespace() -> int:
    """A file that holds a new network namespace; the thread stays where it is."""
    before = _here()
    if _libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    made = _here()
    _enter(before)
    os.close(before)
    return made


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)
