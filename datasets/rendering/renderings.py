"""Renderings: a template over all rows of a sheet, in the background, into a training sheet of pairs.

One worker at a time holds a rendering (`datasets.claims`). Each batch of rows is one transaction: pairs, errors and
counters together, so after a crash the next worker goes on at row `done`, and nothing is doubled.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from common.background import enqueue
from common.errors import ConflictError, InvalidInputError
from common.push import publish
from common.references import hold_store
from datasets import claims
from datasets.claims import Claim, LostClaimError
from datasets.creation import create_dataset
from datasets.gating import governance
from datasets.items import rows
from datasets.models import Dataset, Item, Modality, RenderError, Rendering, Template
from datasets.quality import runs
from datasets.rendering import sheets
from datasets.rendering.sheets import Sheet, Table
from datasets.rendering.templates import Program, Tried, tried

TASK = "datasets.tasks.run_rendering"
BATCH = 1000  # rows a transaction
ROW_MEDIA_TYPE = "application/vnd.trainhub.row+json"
SAME = "It makes the same pair as"  # how the error of a duplicate begins


def start(
    sheet: Dataset, by: AbstractBaseUser, template: Template, *, name: str = "", target: Dataset | None = None,
    label_column: str = "",
) -> Rendering:  # fmt: skip
    """Have a template rendered over a sheet; returns the waiting rendering.

    The pairs go to `target`, or to a new dataset of this name. The template and the tables are taken as they are now.
    InvalidInputError when the template does not fit the sheet, ConflictError when the name is taken, the sheet is not
    ready, or another rendering into the same dataset has not ended.
    """
    if sheet.status != Dataset.Status.ACTIVE:
        raise ConflictError(f"'{sheet.name}' is not ready.", "Wait until its import has ended, then try again.")
    try:
        with transaction.atomic():
            hold_store()  # what the sheet names now is kept until the rendering has ended, also when it is removed
            made = _begun(sheet, by, template, name, target, label_column)
            enqueue(TASK, made.pk)
            _tell(made)
    except IntegrityError as error:
        message = f"Another rendering into '{target.name if target else name}' has not ended."
        raise ConflictError(message, "Wait until it has ended, then try again.") from error
    return made


def _begun(
    sheet: Dataset, by: AbstractBaseUser, template: Template, name: str, target: Dataset | None, label_column: str
) -> Rendering:
    """The row of a rendering over the sheet as it is now, and the dataset that it fills."""
    opened = sheets.open_sheet(sheet)
    parts = {"system": template.system, "prompt": template.prompt, "completion": template.completion}
    Program.read(parts | {"chat": template.chat}, opened.names, label_column)
    if target is not None and (target.modality != Modality.TEXT or target.pk == sheet.pk):
        message = f"'{target.name}' can't take pairs: it holds {target.get_modality_display().lower()}."
        raise InvalidInputError(message, "Choose a dataset of texts, or a new one.", fields={"target": [message]})
    tables = [[table.item, table.parquet, table.rows, [list(part) for part in table.aside]] for table in opened.tables]
    by_template = parts | {"chat": template.chat, "name": template.name, "label_column": label_column, "tables": tables}
    into = target or _new_target(sheet, template, name)
    Dataset.objects.filter(pk=into.pk).update(status=Dataset.Status.PROCESSING, updated_at=Now())
    return Rendering.objects.create(
        sheet=sheet, template=template, rendered_by=by_template, target=into, created_by=by, total=opened.rows
    )


def run_rendering(rendering_id: int) -> Rendering | None:
    """Carry a rendering out, or go on where a dead worker left it; None when there is nothing to do."""
    claim = claims.take(Rendering, rendering_id, "sheet", "target")
    if claim is None:
        return None

    def render() -> None:
        _work(claim)
        _finish(claim)

    kept = claims.carry_out(claim, "rendering", render, partial(_finish, claim), "Render fewer rows at a time.")
    return claim.row if kept else None


def sweep_renderings() -> int:
    """Have waiting renderings taken that nobody took, and those whose worker died. Returns how many."""
    return claims.offer(Rendering, TASK)


def duplicates(rendering: Rendering) -> int:
    """Rows whose pair was there already."""
    return rendering.errors.filter(reason__startswith=SAME).count()


def _new_target(sheet: Dataset, template: Template, name: str) -> Dataset:
    """An empty training sheet; what is known of the table's licence and consent holds for its pairs, too."""
    wanted = name.strip() or _free_name(sheet, f"{sheet.name[:90]}: {template.name[:90]}")
    description = f"Made from '{sheet.name}' by the template '{template.name}'."
    made, _ = create_dataset(
        sheet.owner, name=wanted, modality=Modality.TEXT, subject=sheet.subject, description=description
    )
    made.metadata, made.governed = sheet.metadata, sheet.governed
    made.save(update_fields=["metadata", "governed"])
    return made


def _free_name(sheet: Dataset, wanted: str) -> str:
    taken = set(Dataset.objects.filter(owner=sheet.owner, name__startswith=wanted).values_list("name", flat=True))
    names = (wanted if number == 1 else f"{wanted} ({number})" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _work(claim: Claim[Rendering]) -> None:
    """Render from row `done` on, a batch a transaction."""
    row = claim.row
    sheet = _sheet_of(row.rendered_by)
    program = Program.read(row.rendered_by, label=row.rendered_by.get("label_column", ""))
    facts = {
        item.pk: item
        for item in Item.objects.filter(pk__in=[table.item for table in sheet.tables]).only(
            "id", "name", "metadata", "subject"
        )
    }
    for batch in sheet.read(row.done, program.columns, BATCH):
        claim.beat()
        made = [tried(program, one) for one in batch]
        with transaction.atomic():
            _write(claim, made, facts)


def _sheet_of(by: dict[str, Any]) -> Sheet:
    """The tables as they were when the rendering was asked for."""
    tables: list[Table] = []
    first = 0
    for item, parquet, count, aside in by["tables"]:
        tables.append(Table(item, "", parquet, count, first, tuple((start, end) for start, end in aside)))
        first += count
    return Sheet(tuple(tables), ())


def _write(claim: Claim[Rendering], made: list[Tried], tables: dict[int, Item]) -> None:
    row = claim.row
    # The dataset first, then the rendering: everyone locks in this order.
    if not Dataset.objects.select_for_update(no_key=True).filter(pk=row.target_id).exists():
        raise LostClaimError
    items, errors = _sorted(row, made, tables)
    claim.update(done=F("done") + len(made), made=F("made") + len(items), failed=F("failed") + len(errors))
    Item.objects.bulk_create(items)
    RenderError.objects.bulk_create(errors)
    Dataset.objects.filter(pk=row.target_id).update(
        item_count=F("item_count") + len(items),
        byte_count=F("byte_count") + sum(item.bytes for item in items),
        updated_at=Now(),
    )
    _tell(row)


def _sorted(row: Rendering, made: list[Tried], tables: dict[int, Item]) -> tuple[list[Item], list[RenderError]]:
    """Pairs that are new, and errors of rows that make none or one that is there already."""
    addressed = [(one, rows.address(one.content) if one.content else "") for one in made]
    wanted = [address for _, address in addressed if address]
    there = Item.objects.filter(dataset=row.target_id, sha256__in=wanted).values_list("sha256", "name")
    known = dict(there)
    items: list[Item] = []
    errors: list[RenderError] = []
    for one, address in addressed:
        reason = one.reason
        if address in known:
            reason = f"{SAME} '{known[address]}', which is there already."
        if reason:
            errors.append(RenderError(rendering=row, row=one.row.number, reason=reason[:500]))
            continue
        item = _item(row, one, address, tables.get(one.row.item))
        known[address] = item.name
        items.append(item)
    return items, errors


def _item(row: Rendering, one: Tried, address: str, table: Item | None) -> Item:
    content = one.content or {}
    name = f"{table.name if table else 'table'}, row {one.row.row + 1}"
    return Item(
        dataset_id=row.target_id, sha256=address, name=name[-500:],
        label=one.label, content=content, media_type=ROW_MEDIA_TYPE, bytes=len(rows.canonical(content)),
        characters=len(rows.plain_text(content)), facts={"words": rows.words(content)},
        metadata=table.metadata if table else {}, subject_id=table.subject_id if table else None,
        origin={"item": one.row.item, "row": one.row.row, "template": row.template_id, "rendering": row.pk},
    )  # fmt: skip


def _finish(claim: Claim[Rendering], problem: str = "", hint: str = "") -> None:
    """End the rendering and set its dataset's status."""
    row = claim.row
    with transaction.atomic():
        target = Dataset.objects.select_for_update(no_key=True).filter(pk=row.target_id).first()
        if target is None:
            raise LostClaimError
        row.refresh_from_db(fields=["done", "made", "failed", "total"])
        if not problem and not row.made:
            same = duplicates(row)
            if same < row.failed:
                first = row.errors.exclude(reason__startswith=SAME).first()
                problem = f"No row made a pair. Row {first.row + 1}: {first.reason}" if first else "No row made a pair."
                hint = "Change the template, and look at its preview before you render it again."
        claim.finish(problem, hint, **({} if problem else {"message": _verdict(row)}))
        importing = target.imports.filter(finished_at=None).exists()
        target.status = Dataset.Status.ACTIVE if target.item_count else Dataset.Status.FAILED
        if importing:
            target.status = Dataset.Status.PROCESSING
        target.save(update_fields=["status", "updated_at"])
        governance.ask(Dataset.objects.filter(pk=target.pk))
        if row.made and target.status == Dataset.Status.ACTIVE:
            runs.after_import(target)
        _tell(row)


def _verdict(row: Rendering) -> str:
    same = duplicates(row)
    told = [f"{row.made:,} pair{'s' * (row.made != 1)} made"]
    if same:
        told.append(f"{same:,} row{'s' * (same != 1)} made a pair that was there already")
    if other := row.failed - same:
        told.append(f"{other:,} row{'s' * (other != 1)} made none")
    return f"{'; '.join(told)}."


def _tell(row: Rendering) -> None:
    publish(f"rendering.{row.pk}", f"dataset.{row.target_id}", f"dataset.{row.sheet_id}")
