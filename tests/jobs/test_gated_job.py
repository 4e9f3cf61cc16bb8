"""A job on a gated dataset: a real training process is watched while it reads, and reads nothing that did not pass."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from common.errors import ConflictError, InvalidInputError
from common.files import store
from datasets.creation import create_dataset
from datasets.freezing import manifests
from datasets.gating import gates, governance, rulebook
from datasets.gating.switches import set_gates
from datasets.intake.imports import receive, run_import
from datasets.models import Item
from datasets.reviewing import reviews
from engine.protocol import Spec
from jobs.creation import create_job
from jobs.supervisor import _data
from tests.datasets.conftest import File, picture
from tests.engine.cast import ROOT, SMALL_IMAGES

# Runs the engine as the hub does, and writes down every file that it opens.
WATCHED = """
import sys
seen = open(sys.argv.pop(1), "a", buffering=1)
sys.addaudithook(lambda event, args: event == "open" and isinstance(args[0], str) and seen.write(args[0] + "\\n"))
from engine.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def pets(owner, tmp_path, settings, django_user_model):
    """Two classes of pictures: each must be approved by one person and allowed by a rule."""
    settings.TRAINHUB_HOME = tmp_path / "home"
    for name in ("uploads", "store"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)
    dataset, _ = create_dataset(owner, name="pets", modality="image")
    files = [File(f"{label}/{n}.png", picture(100 * len(label) + n)) for label in ("cat", "mouse") for n in range(10)]
    run_import(receive(dataset, owner, files).pk)
    dataset.refresh_from_db()
    rulebook.save(
        owner, name="licensed", decision="allow", reason="Its licence allows it.",
        condition={"field": "licence", "is": "in", "value": ["CC0", "CC-BY-4.0"]},
    )  # fmt: skip
    return set_gates(dataset, owner, approvals=1, governed=True, metadata={"licence": "CC0"})


def judge(dataset, owner) -> dict[str, set[str]]:
    """One item left out for each reason, in each class; the rest passes. Contents by reason, '' for what passed."""
    kept: dict[str, set[str]] = {reason: set() for reason in ("", "set_aside", "rejected", "not_approved", "refused")}
    for label in ("cat", "mouse"):
        aside, rejected, unseen, refused, *rest = dataset.items.filter(label=label).order_by("id")
        Item.objects.filter(pk=aside.pk).update(aside="duplicate")
        Item.objects.filter(pk=refused.pk).update(metadata={"licence": "all rights reserved"})
        reviews.vote(rejected, owner, "rejected", "Not a pet.")
        for item in (refused, aside, *rest):
            reviews.vote(item, owner, "approved")
        for reason, items in zip(kept, (rest, [aside], [rejected], [unseen], [refused]), strict=True):
            kept[reason] |= {item.sha256 for item in items}
    return kept


def test_the_engine_reads_only_what_passed_the_gates(pets, owner, tmp_path):
    expected = judge(pets, owner)
    job, _ = create_job(owner, recipe="image-classification", dataset=pets, config=SMALL_IMAGES)
    version = job.dataset_version
    assert version.left_out == {"set_aside": 2, "rejected": 2, "not_approved": 2, "refused": 2}
    spec = Spec(
        job="1", attempt=1, recipe=job.recipe, config=job.config, seed=job.seed, data=_data(version),
        work_dir=tmp_path / "home" / "work", device="cpu", threads=1,
    )  # fmt: skip
    path, seen = tmp_path / "home" / "spec.json", tmp_path / "home" / "seen.txt"
    path.write_text(spec.model_dump_json())
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(seen), str(path), "--no-control"],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "completed"
    root = str(store().root)
    read = {line.rsplit("/", 1)[-1] for line in seen.read_text().splitlines() if line.startswith(root)}
    assert read == expected[""] | {version.content_hash}, "every item that passed, its manifest, and nothing else"
    assert not read & (expected["set_aside"] | expected["rejected"] | expected["not_approved"] | expected["refused"])


def test_the_job_says_what_was_left_out_and_why(pets, owner, client):
    judge(pets, owner)
    job, _ = create_job(owner, recipe="image-classification", dataset=pets, config=SMALL_IMAGES)
    client.force_login(owner)
    page = client.get(f"/jobs/{job.pk}").content.decode()
    assert "2 set aside, 2 rejected by a reviewer, 2 not approved yet, 2 refused by a rule" in page
    link = f"/datasets/{pets.pk}/versions/{job.dataset_version.number}/left-out"
    assert link in page
    listed = b"".join(client.get(f"{link}?export=csv").streaming_content).decode()
    assert len(listed.splitlines()) == 9 and "Rejected by a reviewer" in listed
    told = client.get(f"/api/v1/training/jobs/{job.pk}").json()
    assert told["left_out"] == {"set_aside": 2, "rejected": 2, "not_approved": 2, "refused": 2}
    assert {row["reason"] for row in manifests.left_out(job.dataset_version.left_out_hash)} == set(told["left_out"])


def test_a_job_with_nothing_left_is_refused_in_words(pets, owner):
    with pytest.raises(ConflictError, match="No item of 'pets' passed its gates: 20 not approved yet") as caught:
        create_job(owner, recipe="image-classification", dataset=pets)
    assert "Gates" in caught.value.hint
    for item in pets.items.filter(label="cat"):
        reviews.vote(item, owner, "approved")
    with pytest.raises(InvalidInputError, match="has one class only"):
        create_job(owner, recipe="image-classification", dataset=pets)


def test_a_rule_that_changed_just_now_counts(pets, owner):
    for item in pets.items.all():
        reviews.vote(item, owner, "approved")
    governance.work(pets.pk)
    assert gates.trainable(pets).count() == 20
    rulebook.save(
        owner, name="no mice", decision="refuse", reason="No mice.", position=1,
        condition={"field": "label", "is": "is", "value": "mouse"},
    )  # fmt: skip
    with pytest.raises(InvalidInputError, match="has one class only"):
        create_job(owner, recipe="image-classification", dataset=pets)
    rulebook.save(owner, name="none", decision="refuse", reason="Stop.", position=0, condition={})
    with pytest.raises(ConflictError, match="20 refused by a rule"):
        create_job(owner, recipe="image-classification", dataset=pets)
