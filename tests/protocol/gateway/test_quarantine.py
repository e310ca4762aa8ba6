"""What arrives is on the disk, sealed, once; what is kept back says why."""

from __future__ import annotations

import errno
import hashlib
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protocol.errors import InvalidInput, Unclean, VaultError
from protocol.gateway.pictures import model_without_regions
from protocol.gateway.quarantine import Quarantine
from protocol.imaging.deidentify import Model
from protocol.imaging.text import Box
from protocol.vault import disk
from protocol.vault.sealed import Sealer
from tests.protocol.gateway.hospital import SECRETS
from tests.protocol.imaging.made import file, instance, speckle

SEALER = Sealer(bytes(32))


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    return Quarantine(tmp_path / "quarantine", SEALER)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_arrives_is_there_for_whoever_looks_next(quarantine: Quarantine, tmp_path: Path) -> None:
    dataset = instance()
    content = file(dataset)
    id = quarantine.arrive(content, "room-1", 1_700_000_000)
    again = Quarantine(tmp_path / "quarantine", SEALER)
    assert again.arrived() == [id] and again.held() == []
    assert again.content(id) == content
    item = again.item(id)
    assert (item.device, item.received_at, item.size, item.reason) == (
        "room-1",
        1_700_000_000,
        len(content),
        "",
    )
    assert item.sop_instance == dataset.SOPInstanceUID and item.sop_class == dataset.SOPClassUID


def test_nothing_on_the_disk_tells_whose_it_is(quarantine: Quarantine, tmp_path: Path) -> None:
    dataset = instance()
    content = file(dataset)
    id = quarantine.arrive(content, "room-1", 1)
    quarantine.hold(id, "It declares no ultrasound region.")
    quarantine.review(id, [Box(1, 2, 3, 4)])
    telling = [*SECRETS, str(dataset.SOPInstanceUID), "room-1", "ultrasound region"]
    telling += [hash(each).hexdigest()[:16] for hash in (hashlib.sha256, hashlib.sha1, hashlib.md5)
                for each in (content, str(dataset.SOPInstanceUID).encode())]  # fmt: skip
    for name, held in files_in(tmp_path / "quarantine").items():
        assert not [each for each in telling if each in name or each.encode() in held]
    other = Quarantine(tmp_path / "other", Sealer(bytes([1]) * 32)).arrive(content, "room-1", 1)
    assert not {id[:16], id[16:]} & {other[:16], other[16:]}, "ids are keyed"
    assert {path.stat().st_mode & 0o77 for path in (tmp_path / "quarantine").rglob("*")} == {0}


def test_the_same_bytes_twice_are_one_item_and_another_content_of_the_uid_is_another(
    quarantine: Quarantine,
) -> None:
    one = instance(SOPInstanceUID="1.2.3")
    other = instance(SOPInstanceUID="1.2.3", Manufacturer="Other")
    ids = {quarantine.arrive(file(each), "room-1", when) for when, each in enumerate([one, one, other], 1)}
    assert sorted(quarantine.arrived()) == sorted(ids) and len(ids) == 2
    held = next(iter(ids))
    quarantine.hold(held, "no")
    assert quarantine.arrive(quarantine.content(held), "room-1", 9) == held
    assert [item.id for item in quarantine.held()] == [held], "held things do not arrive again"


def test_the_same_sent_by_many_at_once_is_one_item(quarantine: Quarantine) -> None:
    content, ids = file(instance()), []
    threads = [
        threading.Thread(target=lambda: ids.append(quarantine.arrive(content, "room-1", 1)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 16 and quarantine.arrived() == [ids[0]] and set(ids) == {ids[0]}
    assert quarantine.content(ids[0]) == content


def test_what_is_kept_back_and_comes_again_is_not_looked_at_again(quarantine: Quarantine) -> None:
    content = file(instance())
    quarantine.hold(quarantine.arrive(content, "room-1", 1), "It declares no region.")
    id = quarantine.arrive(content, "room-1", 2)
    assert quarantine.arrived() == [] and [each.id for each in quarantine.held()] == [id]


def test_the_oldest_comes_first(quarantine: Quarantine) -> None:
    ids = [quarantine.arrive(file(instance()), "room-1", when) for when in range(5)]
    assert quarantine.arrived() == ids
    for id in ids:
        quarantine.hold(id, "no")
    assert [item.id for item in quarantine.held()] == ids


def test_what_is_kept_back_says_why_and_the_last_reason_stands(quarantine: Quarantine) -> None:
    id = quarantine.arrive(file(instance()), "room-1", 1)
    quarantine.hold(id, "It has no pixels.")
    assert quarantine.arrived() == []
    quarantine.hold(id, "Ses pixels sont trop peu nombreux — 画像.")
    assert [(item.id, item.reason) for item in quarantine.held()] == [
        (id, "Ses pixels sont trop peu nombreux — 画像.")
    ]
    assert quarantine.find(id[:6]) == id
    with pytest.raises(InvalidInput, match="No item"):
        quarantine.find("zz")


def test_a_beginning_that_two_share_names_neither(quarantine: Quarantine) -> None:
    for _ in range(2):
        quarantine.hold(quarantine.arrive(file(instance()), "room-1", 1), "no")
    with pytest.raises(InvalidInput, match="2 items"):
        quarantine.find("")


def test_what_is_rejected_is_gone_and_may_come_again(quarantine: Quarantine, tmp_path: Path) -> None:
    content = file(instance())
    id = quarantine.arrive(content, "room-1", 1)
    with pytest.raises(InvalidInput, match="not kept back"):
        quarantine.reject(id)
    quarantine.hold(id, "no")
    quarantine.review(id, [Box(1, 2, 3, 4)])
    quarantine.reject(id)
    assert quarantine.held() == [] and not [name for name in files_in(tmp_path / "quarantine") if id in name]
    assert not quarantine.was_done(id)
    with pytest.raises(InvalidInput, match="not in quarantine"):
        quarantine.content(id)
    assert quarantine.arrive(content, "room-1", 1) == id and quarantine.arrived() == [id]


def test_what_was_done_is_known_to_others_too(quarantine: Quarantine, tmp_path: Path) -> None:
    id = quarantine.arrive(file(instance()), "room-1", 1)
    assert not quarantine.was_done(id)
    quarantine.done(id)
    quarantine.done(id)
    assert quarantine.arrived() == [] and quarantine.was_done(id)
    assert Quarantine(tmp_path / "quarantine", SEALER).was_done(id)


def test_it_knows_which_uids_it_holds(quarantine: Quarantine) -> None:
    ids = [quarantine.arrive(file(instance(SOPInstanceUID=f"1.2.{n}")), "room-1", n) for n in range(3)]
    quarantine.hold(ids[1], "no")
    quarantine.done(ids[2])
    assert quarantine.holds(["1.2.0", "1.2.1", "1.2.2", "9.9"]) == {"1.2.0", "1.2.1"}


def test_it_knows_under_which_classes_they_came(quarantine: Quarantine, tmp_path: Path) -> None:
    one, retired = instance(SOPInstanceUID="1.2.3"), instance(SOPInstanceUID="1.2.3")
    retired.SOPClassUID = retired.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.6"
    id = quarantine.arrive(file(one), "room-1", 1)
    assert quarantine.sop_classes(["1.2.3", "9.9"]) == {"1.2.3": {str(one.SOPClassUID)}, "9.9": set()}
    quarantine.done(id)
    quarantine.arrive(file(retired), "room-1", 1)
    assert Quarantine(tmp_path / "quarantine", SEALER).sop_classes(["1.2.3"]) == {
        "1.2.3": {str(one.SOPClassUID), str(retired.SOPClassUID)}
    }


def test_what_is_gone_is_not_decided_about_and_leaves_nothing(quarantine: Quarantine, tmp_path: Path) -> None:
    id = quarantine.arrive(file(instance()), "room-1", 1)
    quarantine.hold(id, "no")
    quarantine.reject(id)
    for decide in (lambda: quarantine.hold(id, "still no"), lambda: quarantine.review(id, [Box(1, 2, 3, 4)])):
        with pytest.raises(InvalidInput, match="not in quarantine"):
            decide()
    assert not [name for name in files_in(tmp_path / "quarantine") if id in name]


def test_one_decides_at_a_time(quarantine: Quarantine, tmp_path: Path) -> None:
    id = quarantine.arrive(file(instance()), "room-1", 1)
    quarantine.hold(id, "no")
    another, order = Quarantine(tmp_path / "quarantine", SEALER), []

    def reject() -> None:
        with pytest.raises(InvalidInput, match="not kept back"):
            another.reject(id)
        order.append("rejected")

    thread = threading.Thread(target=reject)
    with quarantine.deciding(id):
        thread.start()
        thread.join(0.2)
        quarantine.done(id)
        order.append("done")
    thread.join()
    assert order == ["done", "rejected"]


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(128) + b"DICM", bytes(128) + b"DICM" + bytes(300)])
def test_what_has_no_header_does_not_arrive(quarantine: Quarantine, content: bytes) -> None:
    with pytest.raises(Unclean):
        quarantine.arrive(content, "room-1", 1)
    assert quarantine.arrived() == []


@pytest.mark.parametrize("place", [0, 3, 4, 40, -1])
def test_a_flipped_bit_is_told_and_the_others_are_there(
    quarantine: Quarantine, tmp_path: Path, place: int
) -> None:
    flipped = quarantine.arrive(file(instance()), "room-1", 1)
    whole = quarantine.arrive(file(instance()), "room-1", 2)
    for id in (flipped, whole):
        quarantine.hold(id, "no")
    path = tmp_path / "quarantine" / "held" / f"{flipped}.sealed"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    read = quarantine.content if place == -1 else quarantine.item
    with pytest.raises(VaultError):
        read(flipped)
    assert {item.id for item in quarantine.held()} == {flipped, whole}


def test_files_do_not_pass_for_one_another(quarantine: Quarantine, tmp_path: Path) -> None:
    one, two = (quarantine.arrive(file(instance()), "room-1", 1) for _ in range(2))
    folder = tmp_path / "quarantine" / "arrived"
    (folder / f"{one}.sealed").write_bytes((folder / f"{two}.sealed").read_bytes())
    with pytest.raises(VaultError):
        quarantine.content(one)


def test_a_full_disk_leaves_nothing_and_is_told(
    quarantine: Quarantine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(files_in(tmp_path / "quarantine"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        quarantine.arrive(file(instance()), "room-1", 1)
    assert set(files_in(tmp_path / "quarantine")) == before and quarantine.arrived() == []


def test_it_is_on_the_disk_when_it_has_arrived(
    quarantine: Quarantine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, real = [], disk.sync
    monkeypatch.setattr(disk, "sync", lambda folder: (synced.append(folder), real(folder)))
    quarantine.arrive(file(instance()), "room-1", 1)
    assert synced == [tmp_path / "quarantine" / "arrived"]


def test_what_a_crash_left_half_written_is_no_item(quarantine: Quarantine, tmp_path: Path) -> None:
    (tmp_path / "quarantine" / "arrived" / ".abc.sealed.part").write_bytes(b"half")
    assert quarantine.arrived() == []


def test_a_crash_between_reason_and_move_is_looked_at_again(
    quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = quarantine.arrive(file(instance()), "room-1", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "gone")))
        with pytest.raises(OSError, match="gone"):
            quarantine.hold(id, "no")
    assert quarantine.arrived() == [id] and quarantine.held() == []
    quarantine.hold(id, "still no")
    assert [item.reason for item in quarantine.held()] == ["still no"]


# -- pictures and regions --------------------------------------------------------------------------------------------


def shown(quarantine: Quarantine, dataset: object, frame: int = 0) -> np.ndarray:
    id = quarantine.arrive(file(dataset), "room-1", 1)
    return np.asarray(Image.open(BytesIO(quarantine.picture(id, frame))))


def test_a_picture_shows_what_was_sent(quarantine: Quarantine) -> None:
    grey, colour, cine = speckle(), speckle(samples=3), speckle(frames=3)
    assert np.array_equal(shown(quarantine, instance(grey)), grey[0])
    assert np.array_equal(shown(quarantine, instance(colour)), colour[0])
    assert np.array_equal(shown(quarantine, instance(cine), 2), cine[2])
    inverted = instance(grey, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(shown(quarantine, inverted), 255 - grey[0])


def test_a_frame_that_is_not_there_and_pixels_that_are_none_are_told(quarantine: Quarantine) -> None:
    id = quarantine.arrive(file(instance()), "room-1", 1)
    with pytest.raises(InvalidInput, match="1 frames"):
        quarantine.picture(id, 1)
    broken = quarantine.arrive(file(instance(Rows=9999)), "room-1", 1)
    with pytest.raises(Unclean, match="not as many"):
        quarantine.picture(broken)


def test_regions_are_kept_for_an_item_and_for_a_model(quarantine: Quarantine, tmp_path: Path) -> None:
    id = quarantine.arrive(file(instance()), "room-1", 1)
    assert quarantine.regions(id) == ()
    quarantine.review(id, [Box(1, 2, 3, 4), Box(5, 6, 7, 8)])
    one, two = Model("Maker", "One", 240, 320), Model("Maker", "One", 480, 640)
    quarantine.remember(one, [Box(1, 1, 2, 2)])
    quarantine.remember(two, [Box(3, 3, 4, 4)])
    again = Quarantine(tmp_path / "quarantine", SEALER)
    assert again.regions(id) == (Box(1, 2, 3, 4), Box(5, 6, 7, 8))
    assert again.remembered(one) == (Box(1, 1, 2, 2),) and again.remembered(two) == (Box(3, 3, 4, 4),)
    assert again.remembered(Model("Maker", "Two", 240, 320)) == ()


def test_only_what_declares_no_regions_and_names_its_device_has_a_model() -> None:
    without = {"SequenceOfUltrasoundRegions": [], "ManufacturerModelName": "One"}
    assert model_without_regions(file(instance(**without))) == Model("Maker", "One", 240, 320)
    assert model_without_regions(file(instance(ManufacturerModelName="One"))) is None
    assert model_without_regions(file(instance(SequenceOfUltrasoundRegions=[]))) is None
