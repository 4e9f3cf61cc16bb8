"""What a version answered is put down: ids at once, no more of the input than the policy says, each row on its own."""

import base64
import json

import pytest

from common.identifiers import least_at, moment_of
from registry.logged import policies, writing
from registry.models import Prediction, RouteArm, Touched
from registry.routing import Choice
from tests.registry.logged.cast import CAT, asked, classifier, logged, regressor
from tests.world import make_version, png

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def keep(version, owner, **wanted):
    policies.change_policy(version.model, owner, **{"keep": "hash", "share": 1.0, "days": 90, **wanted})


def test_one_answer_is_one_row_with_its_class_and_how_sure_it_was(owner):
    version = classifier(owner)
    row = logged(version, owner, group="north", key="customer 7")
    assert (row.label, row.score, row.group, row.latency_ms, row.version) == ("cat", 0.9, "north", 12.5, version)
    assert row.key != "customer 7" and len(row.key) == 64
    assert least_at(row.at) <= row.pk and moment_of(row.pk) == row.at
    assert row.output == CAT and row.error == ""


def test_by_default_no_text_of_a_user_is_kept_and_full_keeps_it(owner):
    version = make_version(owner)
    secret = {"text": "my secret and more", "completion": " and more"}
    row = logged(version, owner, secret, "my secret")
    told = json.dumps([row.input, row.features, row.output])
    assert row.input is None and len(row.input_hash) == 64 and "secret" not in told and "more" not in told
    assert row.output["text"]["characters"] == 18
    keep(version, owner, keep="none")
    row = logged(version, owner, secret, "my secret")
    assert row.input_hash == "" and "secret" not in json.dumps([row.features, row.output])
    keep(version, owner, keep="full")
    row = logged(version, owner, secret, "my secret")
    assert (row.input, row.output) == ("my secret", secret)


def test_of_a_text_only_what_can_be_counted_is_a_feature(owner):
    row = logged(classifier(owner), owner, given="Ab 12 ß")
    assert row.features == {
        "characters": 7, "words": 3, "letters": 0.6, "digits": 0.4, "upper_case": 0.2, "confidence": 0.9,
    }  # fmt: skip


def test_each_row_of_a_table_is_a_prediction_of_its_own(owner):
    version = regressor(owner)
    table = [{"size": 3, "kind": "flat", "note": "x" * 50, "tags": None}, {"size": "4.5", "kind": "house"}]
    output = {"rows": [{"value": 1.5}, {"label": "dear", "confidence": 0.75}]}
    ids = writing.write(asked(owner, table), Choice(version), [output], 3.0)
    (rows,), beyond = writing.row_ids(ids, [output])
    assert rows[0] == ids[0] and beyond == 0
    first, second = (Prediction.objects.get(pk=pk) for pk in rows)
    assert (first.label, first.score, second.label, second.score) == ("", 1.5, "dear", 0.75)
    assert first.features == {"size": 3, "kind": "flat", "tags": None}, "long texts are none"
    assert second.features == {"size": 4.5, "kind": "house", "confidence": 0.75}
    keep(version, owner, keep="none")
    ids = writing.write(asked(owner, "size,kind\n3,flat\n"), Choice(version), [{"rows": [{"value": 1.5}]}], 3.0)
    assert Prediction.objects.get(pk=ids[0]).features == {"size": 3}, "where nothing is kept, no words"


def test_of_a_request_the_first_thousand_rows_are_put_down_and_the_rest_is_told(owner):
    outputs = [{"rows": [{"value": 1.0}] * 700}, {"rows": [{"value": 1.0}] * 700}]
    ids = writing.write(asked(owner, [], []), Choice(regressor(owner)), outputs, 3.0)
    rows, beyond = writing.row_ids(ids, outputs)
    assert ([len(part) for part in rows], beyond, Prediction.objects.count()) == ([700, 300], 400, 1000)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (png(size=(30, 20)), {"width": 30, "height": 20}),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x10\x00\x20\x03", {"width": 32, "height": 16}),
        (b"\xff\xd8\xff", {}),
        (GIF, {"width": 1, "height": 1}),
        (b"no picture", {}),
    ],
)
def test_of_a_picture_its_size_is_a_feature_and_the_file_is_never_kept(owner, data, told):
    version = make_version(owner, recipe="image-classification")
    keep(version, owner, keep="full")
    as_text = logged(version, owner, given=base64.b64encode(data).decode())
    assert as_text.features == {"bytes": len(data), **told, "confidence": 0.9}
    assert logged(version, owner, given=data).features == as_text.features
    assert set(as_text.input) == {"sha256", "bytes"}


def test_of_a_recording_its_length_and_rate_are_features(owner, tmp_path):
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000), sound.writeframes(bytes(8000))
    version = make_version(owner, recipe="audio-classification")
    row = logged(version, owner, given=(tmp_path / "a.wav").read_bytes())
    assert row.features == {"bytes": 8044, "seconds": 0.5, "rate": 8000, "channels": 1, "confidence": 0.9}


def test_an_answer_that_is_large_or_odd_is_kept_within_bounds(owner):
    version = make_version(owner, recipe="image-generation")
    row = logged(version, owner, {"image": "x" * 100_000, "seed": 3, "odd": "a\x00b\ud800", "worse": float("inf")})
    assert row.output["image"]["characters"] == 100_000 and row.output["seed"] == 3
    assert "\x00" not in row.output["odd"] and row.output["worse"] is None
    row = logged(version, owner, {"many": {str(n): "y" * 9000 for n in range(20)}})
    assert row.output["left_out"] and row.output["bytes"] > 100_000


def test_a_share_is_told_by_the_id_and_arms_of_experiments_are_always_kept(owner):
    version = classifier(owner)
    keep(version, owner, share=0.3)
    ids = writing.write(asked(owner, *["x"] * 200), Choice(version), [CAT] * 200, 1.0)
    kept = set(Prediction.objects.values_list("pk", flat=True))
    assert len(ids) == 200 and 30 < len(kept) < 90
    assert kept == {pk for pk in ids if policies.Policy(share=0.3).takes(pk)}
    keep(version, owner, share=0.0)
    arm = RouteArm(
        route=version.model.routes.create(salt="s", started_at=version.created_at), version=version, name="A", weight=1
    )
    arm.save()
    assert logged(version, owner, arm=arm).arm == arm
    assert logged(version, owner, shadow_of=ids[0]).shadow_of == ids[0]


def test_what_failed_is_put_down_with_its_reason(owner):
    row = logged(classifier(owner), owner, error="No model process answers.")
    assert (row.output, row.label, row.error) == (None, "", "No model process answers.")


def test_a_prediction_leaves_a_mark_on_its_hour(owner):
    row = logged(classifier(owner), owner)
    mark = Touched.objects.get()
    assert mark.version_id == row.version_id and not mark.day
    assert mark.since == row.at.replace(minute=0, second=0, microsecond=0)
