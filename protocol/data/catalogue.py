"""Public data sets by name: where their files may lie, and the SHA-256 that each must have.

Looked for in this order: the folder that SALUS_DATA names, `../shared/data` beside the checkout, our own cache, the
official address. The repository itself holds none of these files.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import platformdirs

from protocol.errors import DataUnavailable, InvalidInput

DOWNLOAD_SECONDS = 15.0
MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class PublicSet:
    """A public data set: SHA-256 (hex) by file name, and the address under which its owner publishes the files.

    ``packed``: SHA-256 of other packings of the same arrays, by file name.
    """

    name: str
    title: str
    licence: str
    address: str
    files: dict[str, str]
    packed: dict[str, str] = field(default_factory=dict)

    def holds(self, name: str, content: bytes) -> bool:
        """Whether the content of a file is as pinned."""
        return hashlib.sha256(content).hexdigest() in (self.files[name], self.packed.get(name))


HEART_DISEASE = PublicSet(
    name="heart-disease",
    title="UCI Heart Disease (Janosi, Steinbrunn, Pfisterer, Detrano 1988), DOI 10.24432/C52P4X",
    licence="CC BY 4.0",
    address="https://archive.ics.uci.edu/ml/machine-learning-databases/heart-disease/",
    files={
        "processed.cleveland.data": "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8",
        "processed.hungarian.data": "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796",
        "processed.switzerland.data": "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314",
        "processed.va.data": "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f",
    },
)

BREAST_MNIST = PublicSet(
    name="breastmnist",
    title="BreastMNIST, 28 x 28 (MedMNIST v2, Yang et al. 2023), DOI 10.5281/zenodo.10519652",
    licence="CC BY 4.0",
    address="https://zenodo.org/records/10519652/files/",
    files={"breastmnist.npz": "3a22d2a4625e7dd8903f0f59030e81a3d0c222bece2e5e10927456cb50efdec1"},
    # Labels as [n] instead of [n, 1].
    packed={"breastmnist.npz": "5e68d79723fb3a63a399b0a66b66451799fc2eb3651f469cec0b679cfd743b68"},
)

SETS = {each.name: each for each in (HEART_DISEASE, BREAST_MNIST)}


def find(name: str) -> Path:
    """The folder that holds every file of a public set, each with its pinned SHA-256.

    Raises `InvalidInput` for an unknown name and `DataUnavailable` with what was wrong with each place.
    """
    if name not in SETS:
        raise InvalidInput(f"There is no public data set {name!r}.", f"There are: {', '.join(sorted(SETS))}.")
    wanted = SETS[name]
    reasons = []
    for folder in folders_for(wanted):
        reason = reason_against(folder, wanted)
        if not reason:
            return folder
        reasons.append(f"{folder}: {reason}")
    cache = _cache(wanted)
    reason = _download(wanted, cache) or reason_against(cache, wanted)
    if not reason:
        return cache
    reasons.append(f"{wanted.address}: {reason}")
    raise DataUnavailable(
        f"{wanted.title} cannot be had. {'; '.join(reasons)}.",
        f"Put {', '.join(wanted.files)} into a folder {name}/ and name the folder above it in SALUS_DATA.",
    )


def folders_for(wanted: PublicSet) -> list[Path]:
    given = os.environ.get("SALUS_DATA")
    folders = [Path(given).expanduser() / wanted.name] if given else []
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data" / wanted.name
    if beside.is_dir():
        folders.append(beside)
    if _cache(wanted).is_dir():
        folders.append(_cache(wanted))
    return folders


def _cache(wanted: PublicSet) -> Path:
    return Path(platformdirs.user_cache_dir("salus")) / "data" / wanted.name


def reason_against(folder: Path, wanted: PublicSet) -> str:
    for name in wanted.files:
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            return f"no {name}"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        if not wanted.holds(name, content):
            return f"{name} has other bytes than the pinned SHA-256"
    return ""


def _download(wanted: PublicSet, cache: Path) -> str:
    """Fills the cache; returns why it could not, or an empty string."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for name in wanted.files:
            with urllib.request.urlopen(wanted.address + name, timeout=DOWNLOAD_SECONDS) as answer:
                data = answer.read(MAX_FILE_BYTES + 1)
            if not wanted.holds(name, data):
                return f"{name} has other bytes than the pinned SHA-256"
            with tempfile.NamedTemporaryFile(dir=cache, delete=False) as part:
                part.write(data)
            os.replace(part.name, cache / name)
    except urllib.error.URLError as error:
        return f"not reachable ({error.reason})"
    except (OSError, HTTPException) as error:
        return f"not reachable ({error})"
    return ""
