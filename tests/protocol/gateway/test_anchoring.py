"""Versions are appended for many instances of many patients, each once, however often something fails between."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from protocol.data.splits import TRAIN
from protocol.errors import ChainUnreachable
from protocol.gateway import anchoring
from protocol.gateway.anchoring import Anchor, Pace
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault
from tests.protocol.vault.cohorts import NO_TEXT, SCHEMA, clean, fill, vault_in

PACE = Pace(instances=6, seconds=3_600, patients=3)


class Registry:
    """The chain, as far as an anchor sees it."""

    def __init__(self) -> None:
        self.roots: list[bytes] = []
        self.fails = 0

    def __call__(self, dataset: ImageDataset) -> bool:
        if self.fails:
            self.fails -= 1
            raise ChainUnreachable("The chain node does not answer.")
        if dataset.root in self.roots[-1:]:
            return False
        self.roots.append(dataset.root)
        return True


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a dataset that the chain knows; to be copied."""
    home = tmp_path_factory.mktemp("home")
    vault = vault_in(home)
    fill(vault, range(40), each=1)
    ImageDataset.create(home / "datasets" / "breast", SCHEMA, vault, "", 0.5, finder=NO_TEXT).remember_id(7)
    return home


@pytest.fixture
def vault(tmp_path: Path, registered: Path) -> Vault:
    shutil.copytree(registered, tmp_path, dirs_exist_ok=True)
    return vault_in(tmp_path)


@pytest.fixture
def dataset(vault: Vault) -> ImageDataset:
    return ImageDataset.open(vault.folder.parent / "datasets" / "breast", vault=vault)


@pytest.fixture
def registry(dataset: ImageDataset) -> Registry:
    found = Registry()
    found.roots.append(dataset.root)
    return found


def anchor(vault: Vault, registry: Registry, pace: Pace = PACE) -> Anchor:
    return Anchor(vault, vault.folder.parent / "datasets", pace, register=registry, finder=NO_TEXT)


def arrive(vault: Vault, patients: range, each: int = 2, ago: float = 0) -> None:
    for patient in patients:
        for number in range(each):
            instance = clean(10_000 + 100 * patient + number, f"NEW-{patient}")
            object.__setattr__(instance, "received_at", int(time.time() - ago))
            vault.add(instance)
            vault.label({instance.uid: number % 2})


def newest(dataset: ImageDataset, vault: Vault) -> ImageDataset:
    return ImageDataset.open(dataset.folder, vault=vault)


def test_enough_instances_of_enough_patients_are_a_version(
    vault: Vault, dataset: ImageDataset, registry: Registry
) -> None:
    look = anchor(vault, registry)
    arrive(vault, range(3))
    look()
    grown = newest(dataset, vault)
    assert grown.version == 2 and grown.leaves == dataset.leaves + 6
    assert registry.roots == [dataset.root, grown.root] and not vault.pending()
    look()
    assert len(registry.roots) == 2, "nothing new, nothing sent"


def test_few_patients_wait_however_many_their_instances_and_however_long(
    vault: Vault, dataset: ImageDataset, registry: Registry
) -> None:
    look = anchor(vault, registry)
    arrive(vault, range(2), each=9, ago=1_000_000)
    look()
    assert len(vault.pending()) == 18 and newest(dataset, vault).version == 1


def test_few_instances_wait_until_their_time_is_over(
    vault: Vault, dataset: ImageDataset, registry: Registry
) -> None:
    look = anchor(vault, registry)
    arrive(vault, range(3), each=1)
    look()
    assert newest(dataset, vault).version == 1
    arrive(vault, range(3, 4), each=1, ago=PACE.seconds + 1)
    look()
    assert newest(dataset, vault).version == 2


def test_what_fails_on_the_chain_is_tried_again_and_registered_once(
    vault: Vault, dataset: ImageDataset, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = monotonic(monkeypatch)
    look = anchor(vault, registry)
    arrive(vault, range(3))
    registry.fails = 1
    look()
    assert not vault.pending() and len(registry.roots) == 1
    now[0] += anchoring.PAUSE_SECONDS - 1
    look()
    assert len(registry.roots) == 1, "not at once"
    now[0] += 1
    look()
    assert registry.roots[1:] == [newest(dataset, vault).root]


def test_labels_that_come_later_are_seen(
    vault: Vault, dataset: ImageDataset, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = monotonic(monkeypatch)
    look = anchor(vault, registry)
    late = [clean(20_000 + number, f"LATE-{number}") for number in range(3)]
    for instance in late:
        vault.add(instance)
    vault.flush()
    look()
    assert newest(dataset, vault).version == 1
    vault.label({instance.uid: 1 for instance in late})
    now[0] += anchoring.LOOK_SECONDS
    look()
    assert registry.roots[1:] == [newest(dataset, vault).root]


def test_a_dataset_that_cannot_grow_holds_no_other_up(
    vault: Vault, dataset: ImageDataset, registry: Registry
) -> None:
    folder = vault.folder.parent / "datasets" / "aaa"
    bad = ImageDataset.create(folder, SCHEMA, vault, "", 0.5, finder=NO_TEXT)
    bad.remember_id(8)
    (path,) = (folder / "members").iterdir()
    path.write_bytes(b"altered")
    arrive(vault, range(3))
    anchor(vault, registry)()
    assert newest(dataset, vault).version == 2 and registry.roots[-1] == newest(dataset, vault).root


def test_a_version_of_too_few_is_not_registered_and_grows_again(
    vault: Vault, dataset: ImageDataset, registry: Registry
) -> None:
    gone = {each.patient for each in dataset.members() if each.split == TRAIN}
    uids = [uid for patient in gone for uid in vault.withdraw(patient)]
    assert dataset.withdraw(uids, finder=NO_TEXT).train_records == 0
    arrive(vault, range(40))
    anchor(vault, registry)()
    grown = newest(dataset, vault)
    assert registry.roots[1:] == [grown.root] and grown.train_records >= 10


def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test moves."""
    now = [1_000.0]
    monkeypatch.setattr(anchoring, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    return now


@pytest.mark.parametrize("reached", ["flushed", "extended"])
def test_killed_between_two_steps_it_goes_on(
    vault: Vault, dataset: ImageDataset, registry: Registry, reached: str
) -> None:
    arrive(vault, range(3))
    vault.flush()
    if reached == "extended":
        dataset.extend(vault, finder=NO_TEXT)
    extended = newest(dataset, vault)
    arrive(vault, range(3, 6))
    anchor(vault_in(vault.folder.parent), registry)()
    grown = newest(dataset, vault)
    if reached == "flushed":
        assert registry.roots[1:] == [grown.root] and grown.version == 2
    else:
        assert registry.roots[1:] == [extended.root, grown.root] and grown.version == 3


def test_what_belongs_to_no_dataset_rests_in_the_vault(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    arrive(vault, range(3))
    anchor(vault, Registry())()
    assert len(vault.index()) == 6 and not vault.pending()
