"""``salus image``: ultrasound images of a hospital."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import FOLDER
from protocol.cli.command import Group
from protocol.cli.output import Result, done, table, working
from protocol.cli.session import Session
from protocol.errors import DataError, Unclean

if TYPE_CHECKING:
    from protocol.imaging.deidentify import Clean


@click.group(cls=Group)
def image() -> None:
    """Ultrasound images of a hospital, as DICOM files. Nothing leaves this machine."""


@image.command(
    examples=[
        "salus --home /srv/salus image deidentify /srv/worklist --into /srv/clean",
        "salus image deidentify scan.dcm cine.dcm --into clean --json",
    ],
)
@click.argument("sources", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--into", type=FOLDER, required=True, help="Folder for the clean files; made when it is missing."
)
@click.pass_obj
def deidentify(session: Session, sources: tuple[Path, ...], into: Path) -> Result:
    """De-identify ultrasound DICOM files: attributes by PS3.15's Basic Profile, pixels outside of the declared regions,
    text inside of them.

    SOURCES are files, or folders with all that is in them; they stay as they are. What cannot be cleaned with
    confidence is not written: the table says why, and the exit code is 1. Pseudonyms and dates depend on a secret in
    --home (pseudonyms.key), made at first: back it up, and give it to nobody.

    Look at the results before they are used: text that is small, faint, or in few frames of a cine can be missed.
    """
    from protocol.data import files
    from protocol.data.pseudonyms import SECRET, Pseudonyms
    from protocol.imaging.deidentify import deidentify as clean
    from protocol.imaging.text import RapidOcr

    found = list(_files(sources, into))
    if not found:
        raise DataError("There is no file in what was given.", "Give DICOM files, or folders that hold some.")
    pseudonyms = Pseudonyms.open(session.settings.home / SECRET, make=True)
    into.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with working("Loading the models that find text") as work:
        finder = RapidOcr()
        for number, source in enumerate(found, 1):
            work.say(f"De-identifying {number} of {len(found)}")
            try:
                cleaned = clean(files.read(source), pseudonyms, finder)
                written = _write(into, cleaned)
            except (DataError, Unclean) as error:
                rows.append({"source": str(source), "reason": error.message})
            else:
                rows.append({"source": str(source), "file": str(written), **cleaned.to_dict()})
    return _result(rows)


def _files(sources: tuple[Path, ...], into: Path) -> Iterator[Path]:
    """In folders all files but our own results."""
    for source in sources:
        if not source.is_dir():
            yield source
            continue
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.resolve().is_relative_to(into.resolve()):
                yield path


def _write(folder: Path, cleaned: Clean) -> Path:
    """The same instance twice is one file; two that share a UID and differ are refused."""
    from protocol.data import files

    path = folder / f"{cleaned.uid}.dcm"
    if not path.exists():
        try:
            files.replace(path, cleaned.content)
        except OSError as error:
            raise DataError(
                f"{path} cannot be written: {error.strerror}.", "Make room, and run it again."
            ) from error
    elif files.read(path) != cleaned.content:
        raise DataError(
            f"{path} is there already with other content.",
            "Two instances share a UID, or it was made by another version of Salus: use another folder.",
        )
    return path


def _result(rows: list[dict[str, Any]]) -> Result:
    unclean = [row for row in rows if "reason" in row]
    clean = len(rows) - len(unclean)
    lines = [
        (
            Path(row["source"]).name,
            "-" if "reason" in row else str(row["frames"]),
            "-" if "reason" in row else str(len(row["masked"])),
            row.get("reason") or Path(row["file"]).name,
        )
        for row in rows
    ]
    view = [
        table(["Source", "Frames", "Masked", "Clean file, or why there is none"], lines),
        done(f"{clean} of {len(rows)} clean") if not unclean else f"{clean} of {len(rows)} clean.",
    ]
    return Result({"instances": rows, "clean": clean, "unclean": len(unclean)}, view, ok=not unclean)
