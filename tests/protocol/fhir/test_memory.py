"""Large files are read in bounded memory: what a process takes at its peak, beside what a small file takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.protocol.fhir.made import observation, patient

#: A gigabyte, scaled down; the Bundle is above what is read whole.
MIB = 90
ENTRY_BYTES = 8_000
#: A Bundle is looked into for 64 MiB before it is streamed.
ALLOWED_MIB = {"ndjson": 60, "bundle": 190}
_IMPORT = """
import resource, sys
from pathlib import Path
from protocol.data.pseudonyms import Pseudonyms
from protocol.fhir.importing import deidentified
from protocol.fhir.reading import Refused, Source
from protocol.fhir.rules import Rules

found = deidentified(Source([Path(sys.argv[1])]), Rules.packaged(), Pseudonyms(bytes(32)))
taken = sum(type(each) is not Refused for each in found)
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak(path: Path) -> tuple[int, int]:
    """How many resources were taken, and the most memory that the process had, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, path], capture_output=True, text=True, check=True, timeout=300
    )
    taken, memory = done.stdout.split()
    return int(taken), int(memory)


def write(path: Path, count: int, *, bundle: bool) -> Path:
    with path.open("w", encoding="utf-8") as file:
        if bundle:
            file.write('{"resourceType":"Bundle","type":"collection","entry":[\n')
        for number in range(count + 1):
            made = (
                patient() if not number else observation(f"o{number}", extension=[{"url": "a" * ENTRY_BYTES}])
            )
            line = json.dumps({"resource": made} if bundle else made)
            file.write(line + ("," if bundle and number < count else "") + "\n")
        if bundle:
            file.write("]}")
    return path


@pytest.mark.parametrize("kind", sorted(ALLOWED_MIB))
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    count = MIB * 2**20 // ENTRY_BYTES
    small = peak(write(tmp_path / "small", 100, bundle=kind == "bundle"))
    large = peak(write(tmp_path / "large", count, bundle=kind == "bundle"))
    assert small[0] == 101 and large[0] == count + 1
    assert large[1] - small[1] < ALLOWED_MIB[kind]
