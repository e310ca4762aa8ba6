"""``salus quarantine``: what could not be cleaned with confidence, for the eyes of the hospital."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import FOLDER, vault_password
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, moment, next_commands, table, working
from protocol.cli.session import Session
from protocol.cli.vault import open_vault

if TYPE_CHECKING:
    from protocol.gateway.quarantine import Item, Quarantine
    from protocol.imaging.text import Box
    from protocol.vault.store import Vault

_SHOWN_DIGITS = 12


class RegionType(click.ParamType):
    """LEFT,TOP,RIGHT,BOTTOM in pixels; right and bottom are not in it."""

    name = "left,top,right,bottom"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            left, top, right, bottom = (int(part) for part in parts)
        except ValueError:
            self.fail(
                f"{value!r} is not a region: write LEFT,TOP,RIGHT,BOTTOM, as in 40,60,600,460.", param, ctx
            )
        if not (0 <= left < right and 0 <= top < bottom):
            self.fail(
                f"{value!r} has no area: left is less than right, and top less than bottom.", param, ctx
            )
        return left, top, right, bottom


@click.group(cls=Group)
def quarantine() -> None:
    """What the gateway keeps back, with the reason. It holds what devices sent, names and all: nothing leaves here."""


@quarantine.command(
    "list",
    examples=[
        "salus --home /srv/salus quarantine list --vault-password-file pw",
        "salus quarantine list --vault-password-file pw --json",
    ],
)
@vault_password
@click.pass_obj
def list_(session: Session, vault_password_file: Path | None) -> Result:
    """List what is kept back, the oldest first, and why."""
    _, quarantine = _open(session, vault_password_file)
    items, arrived = quarantine.held(), len(quarantine.arrived())
    rows = [
        (
            item.id[:_SHOWN_DIGITS],
            item.device or "-",
            moment(item.received_at) if item.received_at else "-",
            item.reason,
        )
        for item in items
    ]
    view = [table(["Item", "Device", "Received", "Why it is kept back"], rows, empty="Nothing is kept back.")]
    if arrived:
        view.append(f"{arrived:,} still to be looked at by the gateway.")
    return Result({"items": [_document(item) for item in items], "arrived": arrived}, view)


@quarantine.command(
    examples=[
        "salus --home /srv/salus quarantine show 4f1c22 --into pictures --vault-password-file pw",
        "salus quarantine show 4f1c22 --frame 10 --into pictures --vault-password-file pw --json",
    ],
)
@click.argument("item")
@vault_password
@click.option(
    "--frame", type=click.IntRange(0), default=0, show_default=True, help="Which frame; 0 is the first."
)
@click.option("--into", type=FOLDER, required=True, help="Folder for the picture; made when it is missing.")
@click.pass_obj
def show(session: Session, item: str, vault_password_file: Path | None, frame: int, into: Path) -> Result:
    """Say what is known of ITEM, and write a frame of it as PNG, one pixel for each of its own.

    ITEM is an id, or its beginning. The picture shows what the device sent, with whatever is burnt in: remove it when
    you have seen it.
    """
    from protocol.data import files
    from protocol.errors import Unclean

    _, quarantine = _open(session, vault_password_file)
    found = quarantine.item(quarantine.find(item))
    path: Path | None = into / f"{found.id[:_SHOWN_DIGITS]}-{frame}.png"
    document, unseen = _document(found), ""
    try:
        picture = quarantine.picture(found.id, frame)
    except Unclean as error:
        path, unseen = None, error.message
    else:
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.replace(path, picture)
    kept = {
        "item": found.id,
        "device": found.device,
        "received": moment(found.received_at),
        "size": f"{found.size:,} bytes",
        "reason": found.reason,
        "picture": path or f"none: {unseen}",
    }
    short = found.id[:_SHOWN_DIGITS]
    return Result(
        {**document, "frame": frame, "picture": path, "no_picture": unseen},
        [
            facts(kept),
            next_commands(
                f"salus quarantine release {short} --region LEFT,TOP,RIGHT,BOTTOM",
                f"salus quarantine reject {short}",
            ),
        ],
    )


@quarantine.command(
    examples=[
        "salus --home /srv/salus quarantine release 4f1c22 --region 40,60,600,460 --vault-password-file pw",
        "salus quarantine release 4f1c22 --region 40,60,600,460 --for-model --vault-password-file pw",
    ],
)
@click.argument("item")
@vault_password
@click.option(
    "--region",
    "regions",
    type=RegionType(),
    multiple=True,
    help="Pixels that may stay; all others become black. Repeatable.",
)
@click.option(
    "--for-model",
    is_flag=True,
    help="Use them from now on for all of this manufacturer, model and size that declare no regions.",
)
@click.pass_obj
def release(
    session: Session,
    item: str,
    vault_password_file: Path | None,
    regions: tuple[tuple[int, int, int, int], ...],
    for_model: bool,
) -> Result:
    """De-identify ITEM again, with regions that you have looked at in place of those that it declares.

    Text inside of them is still masked. When it is clean it goes into the vault, else it stays with the new reason, and
    the exit code is 1. With --for-model others of the model that are kept back are looked at again too.
    """
    from protocol.data.pseudonyms import SECRET
    from protocol.errors import InvalidInput
    from protocol.gateway.cleaning import Cleaner
    from protocol.gateway.pictures import model_without_regions
    from protocol.gateway.service import pseudonyms_of
    from protocol.gateway.worker import Worker
    from protocol.imaging.text import Box

    if for_model and not regions:
        raise click.UsageError("--for-model needs at least one --region.")
    vault, quarantine = _open(session, vault_password_file)
    found = quarantine.find(item)
    boxes: list[Box] = [Box(*region) for region in regions]
    todo = [found]
    if for_model:
        model = model_without_regions(quarantine.content(found))
        if model is None:
            raise InvalidInput(
                "This instance declares regions of its own, or does not name its manufacturer and model.",
                "Release it without --for-model.",
            )
        quarantine.remember(model, boxes)
        todo += [
            each.id for each in quarantine.held() if each.id != found and _is_of(quarantine, each.id, model)
        ]
    if boxes:
        quarantine.review(found, boxes)
    home = session.settings.home
    pseudonyms = pseudonyms_of(home, vault)
    cleaner = Cleaner(home / SECRET)
    worker = Worker(quarantine, vault, pseudonyms, [cleaner])
    reasons: dict[str, str] = {}
    with working("Loading the models that find text") as work:
        try:
            for number, id in enumerate(todo, 1):
                work.say(f"De-identifying {number} of {len(todo)}")
                try:
                    reasons[id] = worker.look(id, cleaner)
                except (
                    InvalidInput
                ) as error:  # Somebody rejected it meanwhile; the others are still to be done.
                    reasons[id] = error.message
        finally:
            cleaner.close()
    kept = [(id[:_SHOWN_DIGITS], reason) for id, reason in reasons.items() if reason]
    clean = len(reasons) - len(kept)
    document = {
        "items": [{"id": id, "clean": not reason, "reason": reason} for id, reason in reasons.items()]
    }
    view = [done(f"{clean} of {len(reasons)} clean, and in the vault.")]
    if kept:
        view.append(table(["Item", "Why it stays"], kept))
    return Result({**document, "clean": clean}, view, ok=not kept)


@quarantine.command(
    examples=[
        "salus --home /srv/salus quarantine reject 4f1c22 --vault-password-file pw",
        "salus quarantine reject 4f1c22 --vault-password-file pw --json",
    ],
)
@click.argument("item")
@vault_password
@click.pass_obj
def reject(session: Session, item: str, vault_password_file: Path | None) -> Result:
    """Remove ITEM for good. What the device has kept itself stays with the device."""
    _, quarantine = _open(session, vault_password_file)
    id = quarantine.find(item)
    quarantine.reject(id)
    return Result({"id": id}, [done(f"Item {id[:_SHOWN_DIGITS]} is gone.")])


def _open(session: Session, password_file: Path | None) -> tuple[Vault, Quarantine]:
    from protocol.gateway.service import quarantine_of

    vault = open_vault(session, password_file)
    return vault, quarantine_of(session.settings.home, vault)


def _is_of(quarantine: Quarantine, id: str, model: Any) -> bool:
    from protocol.errors import SalusError
    from protocol.gateway.pictures import model_without_regions

    try:
        return model_without_regions(quarantine.content(id)) == model
    except (SalusError, OSError):
        return False


def _document(item: Item) -> dict[str, Any]:
    """Without the UID: it is the device's own, and leads to the patient."""
    return {
        "id": item.id,
        "device": item.device,
        "received_at": item.received_at,
        "sop_class": item.sop_class,
        "transfer_syntax": item.transfer_syntax,
        "bytes": item.size,
        "reason": item.reason,
    }
