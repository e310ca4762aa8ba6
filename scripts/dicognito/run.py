"""Processor seconds of passes of dicognito over DICOM files: each is read, de-identified and written in memory.

python run.py FOLDER PASSES
"""

from __future__ import annotations

import sys
import time
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
from dicognito.anonymizer import Anonymizer

warnings.simplefilter("ignore")
contents = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.dcm"))]
anonymizer = Anonymizer(seed="salus")


def one(content: bytes) -> None:
    dataset = pydicom.dcmread(BytesIO(content))
    anonymizer.anonymize(dataset)
    dataset.save_as(BytesIO())


for each in contents:
    one(each)
began = time.process_time()
for _ in range(int(sys.argv[2])):
    for each in contents:
        one(each)
print(time.process_time() - began)
