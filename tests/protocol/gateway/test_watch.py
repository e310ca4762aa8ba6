"""A watched folder: what is whole and ours is taken in once, and the rest stays."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.gateway import watch as module
from protocol.gateway.watch import Watch
from tests.protocol.imaging.made import NAME, file, instance

MAX_BYTES = 200_000


class Kept:
    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.trouble: Exception | None = None

    def __call__(self, content: bytes, received_at: int) -> None:
        assert received_at > 1_600_000_000
        if self.trouble:
            raise self.trouble
        self.contents.append(content)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "watched").mkdir()
    return tmp_path / "watched"


@pytest.fixture
def watch(folder: Path, kept: Kept) -> Watch:
    return Watch(folder, kept, MAX_BYTES, settled_seconds=0)


def test_what_has_settled_is_taken_in_and_removed(watch: Watch, folder: Path, kept: Kept) -> None:
    content = file(instance())
    (folder / "deeper").mkdir()
    for path in (folder / "one.dcm", folder / "deeper" / "two"):
        path.write_bytes(content)
    assert watch.look() == 0, "who knows whether they are whole"
    assert watch.look() == 2
    assert kept.contents == [content] * 2
    assert list(folder.rglob("*")) == [folder / "deeper"]
    assert watch.look() == 0 and watch.taken == 2


def test_what_still_grows_is_left_alone(watch: Watch, folder: Path, kept: Kept) -> None:
    content = file(instance())
    for end in range(1_000, 5_000, 1_000):
        (folder / "one.dcm").write_bytes(content[:end])
        assert watch.look() == 0
    (folder / "one.dcm").write_bytes(content)
    assert [watch.look(), watch.look()] == [0, 1]
    assert kept.contents == [content]


def test_what_is_not_ours_stays_and_is_said_once_without_its_name(
    watch: Watch, folder: Path, kept: Kept, tmp_path: Path, logged: Callable[[], list[str]]
) -> None:
    ct = instance(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    stays = {
        folder / f"{NAME}.txt": b"Armelle Duchemin, thyroid",
        folder / "empty": b"",
        folder / "ct.dcm": file(ct),
        folder / "large.dcm": file(instance()) + bytes(MAX_BYTES),
        folder / "half": file(instance())[:140],
        folder / ".being-written.dcm": file(instance()),
    }
    for path, content in stays.items():
        path.write_bytes(content)
    (tmp_path / "elsewhere.dcm").write_bytes(file(instance()))
    (folder / "link.dcm").symlink_to(tmp_path / "elsewhere.dcm")
    (folder / "loop").symlink_to(folder)
    for _ in range(4):
        assert watch.look() == 0
    assert {path: path.read_bytes() for path in stays} == stays and kept.contents == []
    assert (tmp_path / "elsewhere.dcm").exists() and (folder / "link.dcm").exists()
    assert logged() == ["Files in the watched folder that are no ultrasound DICOM files stay there: 5"]


def test_a_file_that_is_replaced_is_looked_at_again(watch: Watch, folder: Path) -> None:
    (folder / "one").write_bytes(b"notes")
    assert [watch.look(), watch.look()] == [0, 0]
    (folder / "one").write_bytes(file(instance()))
    assert [watch.look(), watch.look()] == [0, 1]


def test_what_cannot_be_kept_stays_in_the_folder(watch: Watch, folder: Path, kept: Kept) -> None:
    (folder / "one.dcm").write_bytes(file(instance()))
    kept.trouble = OSError(errno.ENOSPC, "No space left on device")
    watch.look()
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            watch.look()
    assert (folder / "one.dcm").exists()
    kept.trouble = None
    assert watch.look() == 1 and len(kept.contents) == 1 and not (folder / "one.dcm").exists()


def test_a_copy_that_pauses_is_left_until_it_has_settled(
    folder: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    watch, content = Watch(folder, kept, MAX_BYTES), file(instance())
    (folder / "one.dcm").write_bytes(content[:5_000])
    for now[0] in (1.0, 11.0, 29.0):
        assert watch.look() == 0
    (folder / "one.dcm").write_bytes(content)
    for now[0] in (35.0, 50.0, 64.0):
        assert watch.look() == 0, "it settles anew"
    now[0] = 65.0
    assert watch.look() == 1 and kept.contents == [content]


@pytest.mark.parametrize("end", [400, 1_500, -1])
def test_what_ends_too_early_stays_and_is_said_once(
    watch: Watch, folder: Path, kept: Kept, logged: Callable[[], list[str]], end: int
) -> None:
    content = file(instance())
    (folder / "one.dcm").write_bytes(content[:end])
    assert [watch.look() for _ in range(4)] == [0] * 4 and kept.contents == []
    assert logged() == ["Files in the watched folder that end before their pixels do stay there: 1"]
    (folder / "one.dcm").write_bytes(content)
    assert [watch.look(), watch.look()] == [0, 1] and kept.contents == [content]


@pytest.mark.parametrize("how", ["replaced", "written on"])
def test_what_changes_while_it_is_taken_in_stays(
    watch: Watch, folder: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path, content = folder / "one.dcm", file(instance())
    path.write_bytes(content)

    def arrive(*given: object) -> None:
        Kept.__call__(kept, *given)
        if how == "replaced":
            (folder / ".fresh").write_bytes(content + bytes(8))
            (folder / ".fresh").replace(path)
        else:
            path.write_bytes(content + bytes(8))

    monkeypatch.setattr(watch, "_arrive", arrive)
    assert [watch.look(), watch.look()] == [0, 0]
    assert path.read_bytes() == content + bytes(8) and kept.contents == [content]


def test_what_cannot_be_read_or_removed_is_said_once_and_the_others_are_taken_in(
    watch: Watch,
    folder: Path,
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], list[str]],
) -> None:
    """Whoever runs the tests may be allowed anything: so the system's calls refuse."""
    for name in ("closed", "open"):
        (folder / name).mkdir()
    for path in (folder / "open" / "stuck.dcm", folder / "open" / "one.dcm", folder / "unreadable.dcm"):
        path.write_bytes(file(instance()))
    scan, unlink, opens = os.scandir, Path.unlink, os.open

    def refusing(call: Callable[..., object], word: str) -> Callable[..., object]:
        def refuse(path: object, *given: object, **named: object) -> object:
            if word in str(path):
                raise PermissionError(errno.EACCES, "Permission denied")
            return call(path, *given, **named)

        return refuse

    monkeypatch.setattr(os, "scandir", refusing(scan, "closed"))
    monkeypatch.setattr(Path, "unlink", refusing(unlink, "stuck"))
    monkeypatch.setattr(module.os, "open", refusing(refusing(opens, "unreadable"), "closed"))
    assert [watch.look() for _ in range(4)] == [0, 2, 0, 0]
    assert len(kept.contents) == 2 and not (folder / "open" / "one.dcm").exists()
    assert sorted(logged()) == [
        "Files in the watched folder that cannot be read stay there: 2",
        "Files in the watched folder that were taken in and cannot be removed stay there: 1",
    ]
