"""What becomes of a retraining after its job: compared, tested, promoted, kept; and no end is forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError, UnavailableError
from jobs.models import Job
from performance.models import Retraining
from performance.retraining import decisions, following, judging, next_steps, policies, reporting, triggers
from performance.retraining.samples import Sample
from registry import lineage
from registry.models import Alias, AliasChange, ModelVersion, PromotionEvidence, PromotionPolicy, PromotionRequest
from registry.promotion import checks
from registry.promotion import verbs as promotion
from tests.performance.retrained import end, make_line
from tests.registry.test_access import with_role

pytestmark = pytest.mark.django_db
PROMOTE = next_steps.promote
FREE = {"enabled": True, "approvals_start": 0, "cooldown_hours": 0, "approvals_promotion": 0}


class Steps:
    """What other parts of the hub would do."""

    def __init__(self) -> None:
        self.tests: list[str] = []
        self.result: tuple[bool, bool, str] | None = None
        self.request_only = False
        self.refusal: Exception | None = None

    def name_challenger(self, version, reason, evidence):
        AliasChange.objects.create(
            model=version.model, alias="challenger", kind="set", after=version, evidence=evidence, at=timezone.now()
        )

    def promote(self, version, by, reason, evidence):
        if self.refusal:
            raise self.refusal
        if self.request_only:
            return False
        Alias.objects.update_or_create(
            model=version.model, name="champion", defaults={"version": version, "since": timezone.now()}
        )
        self.evidence = evidence
        return True

    def start_test(self, model, kind, champion, challenger, numbers):
        self.tests.append(kind)
        return 7

    def test_result(self, key, challenger):
        assert key == 7
        return self.result


@pytest.fixture
def steps(monkeypatch):
    made = Steps()
    for name in ("name_challenger", "promote", "start_test", "test_result"):
        monkeypatch.setattr(next_steps, name, getattr(made, name))
    return made


@pytest.fixture
def begun(owner, steps):
    """A retraining whose job was made, by a policy with these settings."""

    def begin(**values) -> Retraining:
        model = make_line(owner)
        policies.change(model, owner, **FREE | values)
        return triggers.trigger(model, owner, reason="Spring.")[0]

    return begin


def ended(row: Retraining, verdict: str = "better", **columns) -> Retraining:
    """Its job completed, and the report said so."""
    end(row.job, **columns)
    following.sweep()
    row.refresh_from_db()
    if row.status == "evaluating":
        Retraining.objects.filter(pk=row.pk).update(report={"verdict": verdict, "words": "Seen.", "compared": []})
        following.sweep()
        row.refresh_from_db()
    return row


def test_a_job_that_runs_and_completes_is_followed_to_its_comparison(begun, django_capture_on_commit_callbacks):
    row = begun()
    Job.objects.filter(pk=row.job_id).update(
        status="running", phase="training", attempt_started_at=timezone.now(), attempt_number=1
    )
    following.sweep()
    row.refresh_from_db()
    assert row.status == "training"
    Job.objects.filter(pk=row.job_id).update(status="queued", phase="", attempt_started_at=None)
    end(row.job)
    following.sweep()
    row.refresh_from_db()
    assert (row.status, row.challenger) == ("evaluating", ModelVersion.objects.get(source_job_id=row.job_id))
    told = lineage.lineage(row.challenger, row.model.owner)["up"]["retraining"]
    assert (told["id"], told["reason"], told["trigger"]) == (row.pk, "Spring.", "manual")
    following.sweep()
    assert row.events.filter(kind="trained").count() == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": "failed", "failure_code": "BAD_DATA", "failure_message": "No rows.", "failure_hint": "Add some."},
         "failed: No rows."),
        ({"status": "cancelled"}, "was cancelled"),
    ],
)  # fmt: skip
def test_a_job_that_ends_badly_ends_it_with_the_reason_and_what_to_do(begun, columns, words):
    row = begun()
    end(row.job, **columns)
    following.job_ended(row.job_id)
    row.refresh_from_db()
    assert row.status == "failed" and words in row.message and "the champion stays" in row.message and row.hint


def failed(row: Retraining) -> Retraining:
    """Its job failed, and so did it."""
    end(row.job, status="failed", failure_code="CRASHED", failure_message="It died.")
    following.sweep()
    row.refresh_from_db()
    assert row.status == "failed" and "retry the job" in row.hint
    return row


def try_again(row: Retraining) -> None:
    Job.objects.filter(pk=row.job_id).update(status="queued", completed_at=None, failure_code="", failure_message="")


def test_a_job_that_is_tried_again_takes_its_retraining_with_it(begun):
    row = failed(begun())
    following.sweep()
    assert not row.events.filter(kind="resumed").exists()
    try_again(row)
    following.sweep()
    row.refresh_from_db()
    assert (row.status, row.ended_at) == ("queued", None) and "tried again, so the retraining goes on" in row.message
    row = failed(row)
    try_again(row)
    row = ended(row)  # before anybody looked
    assert row.status == "challenger" and row.challenger == ModelVersion.objects.get(source_job_id=row.job_id)
    assert list(row.events.values_list("kind", flat=True)) == [
        "triggered", "job_made", "failed", "resumed", "failed", "resumed", "trained", "named", "compared",
    ]  # fmt: skip
    assert AuditEntry.objects.filter(verb="retraining resumed").count() == 2


def test_while_another_one_of_the_model_is_open_it_is_told_what_to_do(begun, owner):
    row = failed(begun())
    policies.change(row.model, owner, approvals_start=1)
    other, _ = triggers.trigger(row.model, owner)
    try_again(row)
    following.sweep()
    row.refresh_from_db()
    assert row.status == "failed" and Retraining.objects.filter(status__in=Retraining.OPEN).get() == other
    end(row.job)
    for _ in range(2):
        following.sweep()
    row.refresh_from_db()
    version = ModelVersion.objects.get(source_job_id=row.job_id)
    assert row.status == "failed" and f"while retraining {other.pk} waits for approval: {version} was" in row.message
    assert f"/versions/{version.pk}" in row.hint and row.events.filter(kind="not_resumed").count() == 1
    Retraining.objects.filter(pk=other.pk).update(status="kept", ended_at=timezone.now())
    following.sweep()
    row.refresh_from_db()
    assert row.status == "failed", "what was said stands"


def test_what_left_no_version_or_has_no_job_is_not_taken_up_again(begun):
    row = begun()
    Job.objects.filter(pk=row.job_id).update(status="completed", completed_at=timezone.now())
    for _ in range(2):
        following.sweep()
    row.refresh_from_db()
    assert row.status == "failed" and "left no version" in row.message
    assert row.events.filter(kind="failed").count() == 1


def test_a_job_that_was_deleted_ends_it(begun):
    row = begun()
    Retraining.objects.filter(pk=row.pk).update(job=None)
    following.sweep()
    row.refresh_from_db()
    assert (row.status, row.message) == ("failed", "Its job was deleted.")


def test_a_policy_that_wants_nothing_more_leaves_it_at_the_version(begun):
    row = ended(begun(after="none"))
    assert row.status == "kept" and row.challenger and "leaves it at that" in row.message


@pytest.mark.parametrize(
    ("after", "verdict", "status"),
    [
        ("promote", "better", "promoted"), ("promote", "unclear", "challenger"), ("promote", "worse", "kept"),
        ("report", "better", "challenger"), ("report", "worse", "kept"), ("ab", "unclear", "testing"),
        ("shadow", "better", "testing"), ("ab", "worse", "kept"),
    ],
)  # fmt: skip
def test_the_policy_and_the_verdict_say_what_follows(begun, steps, after, verdict, status):
    row = ended(begun(after=after), verdict)
    assert row.status == status, row.message
    assert steps.tests == ([after] if status == "testing" else [])
    assert next_steps.is_champion(row.challenger) == (status == "promoted")


def test_a_promotion_by_policy_is_in_the_audit_trail_with_its_evidence(begun, steps):
    row = ended(begun(after="promote"))
    assert steps.evidence["retraining"] == row.pk and steps.evidence["verdict"] == "better"
    entry = AuditEntry.objects.get(verb="retraining promoted")
    assert entry.actor_name == "" and str(row.challenger) in entry.details


def test_with_approval_of_promotion_a_person_promotes_or_declines(begun):
    bob = with_role("bob", "Approvers")
    row = ended(begun(after="promote", approvals_promotion=1))
    assert (row.status, "waits for approval" in row.message) == ("challenger", True)
    decisions.approve(row, bob, "Good")
    assert row.status == "promoted" and row.decided_by == bob and next_steps.is_champion(row.challenger)


def test_a_declined_challenger_leaves_the_champion(begun):
    row = ended(begun(after="report"))
    decisions.decline(row, with_role("bob", "Approvers"), "Too small a gain")
    assert (row.status, row.message) == ("kept", "Declined by bob: Too small a gain. The champion stays.")


@pytest.fixture
def asked(begun, monkeypatch):
    """A retraining whose result waits for two approvals that its model's policy wants; and that request."""
    monkeypatch.setattr(next_steps, "promote", PROMOTE)
    row = begun(after="promote")
    PromotionPolicy.objects.create(model=row.model, approvals=2, changed_by=row.model.owner, changed_at=timezone.now())
    row = ended(row)
    request = PromotionRequest.objects.get()
    assert (row.status, row.hint) == ("challenger", f"Approve it at /promotions/{request.pk}.")
    return row, request


def test_declining_takes_back_the_promotion_that_was_asked_for(asked):
    row, request = asked
    decisions.decline(row, with_role("bob", "Approvers"), "Too small a gain")
    request.refresh_from_db()
    assert (request.status, row.status) == ("withdrawn", "kept") and "Too small a gain" in request.note
    with pytest.raises(ConflictError):
        promotion.approve(request, with_role("carol", "Approvers"))


def test_a_promotion_that_is_refused_ends_the_retraining(asked):
    row, request = asked
    assert following.sweep() == 0
    promotion.reject(request, with_role("bob", "Approvers"), "Not in winter")
    following.sweep()
    row.refresh_from_db()
    assert row.status == "kept"
    assert row.message == "Its promotion was refused by bob: Not in winter. The champion stays."
    assert following.sweep() == 0


def test_who_approves_the_result_has_approved_its_promotion_once(asked):
    row, request = asked
    bob, carol = with_role("bob", "Approvers"), with_role("carol", "Approvers")
    decisions.approve(row, bob, "Good")
    assert row.status == "challenger" and "asks for more approvals" in row.message
    with pytest.raises(ConflictError, match="approved"):
        promotion.approve(request, bob)
    decisions.approve(row, carol, "I agree")
    assert row.status == "promoted" and next_steps.is_champion(row.challenger)


def test_what_the_models_own_policy_refuses_is_left_to_people(begun, steps):
    steps.refusal = ConflictError("It needs a test.", "Start one.")
    row = ended(begun(after="promote"))
    assert row.status == "challenger" and "It needs a test." in row.message and row.hint == "Start one."


def test_a_promotion_that_waits_for_approvals_of_the_model_is_seen_when_it_is_done(begun, steps):
    steps.request_only = True
    row = ended(begun(after="promote"))
    assert row.status == "challenger" and "was asked for" in row.message
    Alias.objects.filter(model=row.model, name="champion").update(version=row.challenger)
    following.sweep()
    row.refresh_from_db()
    assert row.status == "promoted"


def test_a_champion_that_changed_meanwhile_is_not_replaced_by_the_policy(begun, owner):
    row = begun(after="promote")
    end(row.job)
    following.sweep()
    other = make_line(owner, named=False, model=row.model).versions.order_by("-pk").first()
    Alias.objects.filter(model=row.model).update(version=other)
    Retraining.objects.filter(pk=row.pk).update(report={"verdict": "better", "words": "Seen.", "compared": []})
    following.sweep()
    row.refresh_from_db()
    assert row.status == "challenger" and "another one by now" in row.message


@pytest.mark.parametrize(
    ("result", "status"),
    [((True, True, "Clear."), "promoted"), ((False, True, "Lost."), "kept"), ((False, False, "Ended."), "challenger"),
     (None, "testing")],
)  # fmt: skip
def test_a_test_that_ends_is_acted_on(begun, steps, result, status):
    row = ended(begun(after="ab"))
    steps.result = result
    following.sweep()
    row.refresh_from_db()
    assert row.status == status


def test_a_crash_after_the_promotion_promotes_no_second_time(begun, steps, monkeypatch):
    row = begun(after="promote")
    end(row.job)
    following.sweep()
    Retraining.objects.filter(pk=row.pk).update(report={"verdict": "better", "words": "Seen.", "compared": []})
    move = following.story.move

    def crash(*given, **options):
        raise SystemError("the worker died")

    monkeypatch.setattr(following.story, "move", crash)
    following.sweep()
    assert not next_steps.is_champion(ModelVersion.objects.get(source_job_id=row.job_id)), "both or none"
    monkeypatch.setattr(following.story, "move", move)
    following.sweep()
    row.refresh_from_db()
    assert row.status == "promoted"


@pytest.mark.parametrize("status", ["awaiting_approval", "challenger"])
def test_what_nobody_decides_on_expires(begun, status):
    row = ended(begun(after="report"))
    Retraining.objects.filter(pk=row.pk).update(status=status, waits_since=F("waits_since") - timedelta(days=13))
    following.sweep()
    assert Retraining.objects.get().status == status
    Retraining.objects.update(waits_since=F("waits_since") - timedelta(days=2))
    following.sweep()
    assert Retraining.objects.get().status == "expired"


def test_a_version_that_is_deleted_while_it_waits_ends_it(begun):
    row = ended(begun(after="report"))
    ModelVersion.objects.filter(pk=row.challenger_id).update(status="deleted", artifact=[])
    following.sweep()
    row.refresh_from_db()
    assert row.status == "kept" and "is deleted; the champion stays" in row.message


def test_versions_that_can_not_be_asked_are_compared_by_what_their_trainings_recorded(begun):
    row = begun()
    end(row.job, metrics={"validation/loss": 1.0})
    following.sweep()
    made = reporting.report(row.pk)
    assert made["verdict"] == "unclear" and "1 after 1.5, better" in made["words"]
    assert reporting.report(row.pk) is None, "it is there already"


def test_what_both_did_on_the_same_rows_lets_the_models_own_policy_compare_them(begun, monkeypatch):
    row = begun()
    end(row.job)
    following.sweep()
    row.refresh_from_db()
    PromotionPolicy.objects.create(
        model=row.model, metric="validation/accuracy", margin=0.0, changed_by=row.asked_by, changed_at=timezone.now()
    )
    assert "same_held_out" in [check.rule for check in checks.check(row.challenger).failed]
    truths = ["a", "b"] * 50
    answers = {row.challenger_id: truths, row.champion_id: ["a"] * 100}
    monkeypatch.setattr(reporting.samples, "can_be_compared", lambda version: True)
    monkeypatch.setattr(reporting.prediction, "can_be_tried", lambda version: True)
    sample = Sample(reporting.samples.HELD_OUT, list(range(100)), truths, [""] * 100)
    monkeypatch.setattr(reporting.samples, "held_out", lambda champion, challenger: sample)
    monkeypatch.setattr(reporting.samples, "recent", lambda row: Sample("Recent"))
    monkeypatch.setattr(
        reporting,
        "_answers",
        lambda row, version, sample: [{"label": one} for one in answers[version.pk]][: len(sample.truths)],
    )
    made = reporting.report(row.pk)
    assert made["verdict"] == "better" and made["compared"][0]["figures"]["macro_f1"] == [pytest.approx(1 / 3), 1.0]
    noted = PromotionEvidence.objects.get()
    assert (noted.version, noted.against, noted.passed) == (row.challenger, row.champion, True)
    verdict = {check.rule: check for check in checks.check(row.challenger).checks}
    assert verdict["same_held_out"].passed and verdict["figure"].passed
    assert verdict["figure"].figures["champion"] == 0.5


def test_without_a_model_process_it_is_tried_again_and_in_the_end_goes_on_without(begun, monkeypatch):
    def away(row):
        raise UnavailableError("No model process can be started.", "Start a node.")

    monkeypatch.setattr(reporting, "_made", away)
    row = begun(after="promote")
    end(row.job)
    following.sweep()
    assert reporting.report(row.pk) is None
    row.refresh_from_db()
    assert "can't be compared now" in row.message and row.retry_at and row.heartbeat_at is None
    Retraining.objects.update(attempt=reporting.MOST_TRIES - 1, retry_at=None)
    assert "No model process" in reporting.report(row.pk)["problem"]
    following.sweep()
    row.refresh_from_db()
    assert row.status == "challenger", "a person decides"


def test_a_comparison_whose_worker_died_is_asked_for_again(begun):
    row = begun()
    end(row.job)
    following.sweep()
    Retraining.objects.update(heartbeat_at=timezone.now())
    assert reporting.sweep() == 0
    Retraining.objects.update(heartbeat_at=timezone.now() - reporting.STALE - timedelta(seconds=1))
    assert [reporting.sweep(), reporting.sweep()] == [1, 0]


def labels(*names: str) -> list[dict[str, str]]:
    return [{"label": name} for name in names]


def test_on_the_same_rows_a_difference_is_told_with_its_interval():
    truths = ["a"] * 100
    theirs, ours = labels(*["a"] * 60, *["b"] * 40), labels(*["a"] * 90, *["b"] * 10)
    found = judging.compare("Rows", truths, theirs, ours)
    assert (found.champion, found.challenger, found.n) == (0.6, 0.9, 100)
    assert found.verdict == "better" and 0.2 < found.low < 0.3 < found.high < 0.4
    assert judging.compare("Rows", truths, ours, theirs).verdict == "worse"
    assert judging.compare("Rows", truths, ours, ours).verdict == "unclear"
    assert "too few" in judging.compare("Rows", truths[:29], ours[:29], ours[:29]).words


def test_of_numbers_the_smaller_error_is_better_and_chance_is_unclear():
    truths = [float(n) for n in range(50)]
    near = [{"value": n + 0.1 * (n % 3)} for n in truths]
    far = [{"value": n + 1.0 + n % 2} for n in truths]
    assert judging.compare("Rows", truths, far, near).verdict == "better"
    assert judging.compare("Rows", truths, near, far).verdict == "worse"
    one_off = [{"value": n + (5 if n == 7 else 0)} for n in truths]
    assert judging.compare("Rows", truths, one_off, [{"value": n} for n in truths]).verdict == "unclear"


def test_classes_are_the_same_however_they_are_written():
    found = judging.compare("Rows", [1, 1.0, "1", True], labels("1", "1", "1", "yes"), labels("0", "1", "1", "no"))
    assert (found.champion, found.challenger) == (1.0, 0.5)


def test_a_group_that_suffers_stands_against_the_whole():
    good = {"title": "Rows", "n": 100, "group": None, "verdict": "better"}
    bad = good | {"group": "north", "verdict": "worse"}
    assert judging.together([good])[0] == "better"
    verdict, words = judging.together([good, bad])
    assert verdict == "unclear" and "the group 'north'" in words
    assert judging.together([good | {"verdict": "unclear"}, bad])[0] == "worse"
    assert judging.together([])[0] == "unclear"


def test_what_chance_says_of_many_groups_is_not_believed():
    import random

    dice = random.Random(3)
    truths = ["a"] * 2000
    groups = [f"g{n % 20}" for n in range(2000)]
    wrong = 0
    for _ in range(20):
        one, two = (labels(*("a" if dice.random() < 0.7 else "b" for _ in truths)) for _ in range(2))
        wrong += any(found.verdict != "unclear" for found in judging.by_group("Rows", truths, one, two, groups))
    assert wrong <= 4
