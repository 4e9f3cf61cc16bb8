"""Labels and captions from lists, from texts beside files, from names, from folders."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from common.errors import InvalidInputError
from datasets.formats.marks import marks_from_name, pattern
from datasets.intake.options import checked
from tests.datasets.conftest import picture
from tests.datasets.test_archives import tarred, zipped
from tests.shared import data


def said(dataset) -> dict[str, tuple[str, str]]:
    return {item.name: (item.label, item.caption) for item in dataset.items.all()}


def test_a_list_of_labels_goes_with_the_files(images, bring, nothing_left):
    lines = [
        {"file_name": "a.png", "label": "cat", "caption": "A cat.", "group": "g1", "split": "val", "lens": 50},
        {"file_name": "deep/b.png", "class": "dog", "text": "A dog.", "subject": "Rex", "recorded_at": "2024-05-01"},
        {"file_name": "gone.png", "label": "cat"},
        {"label": "no file"},
    ]
    listed = "".join(json.dumps(line) + "\n" for line in lines).encode() + b"{broken\n"
    ended = bring(
        images, ("x/metadata.jsonl", listed), ("x/a.png", picture(1)), ("x/deep/b.png", picture(2)),
        ("other/c.png", picture(3)),
    )  # fmt: skip
    assert (ended.accepted, ended.done, ended.total) == (3, 4, 4)
    assert said(images) == {
        "x/a.png": ("cat", "A cat."),
        "x/deep/b.png": ("dog", "A dog."),
        "other/c.png": ("other", ""),
    }
    first, second = images.items.get(label="cat"), images.items.get(label="dog")
    assert (first.group, first.metadata) == ("g1", {"split": "validation", "lens": 50})
    assert (second.subject.name, second.recorded_at.day) == ("Rex", 1)
    assert sorted(ended.refusals.values_list("name", "code")) == [
        ("x/metadata.jsonl", "missing_files"), ("x/metadata.jsonl:4", "bad_row"), ("x/metadata.jsonl:5", "bad_row"),
    ]  # fmt: skip
    assert "'gone.png'" in ended.refusals.get(code="missing_files").reason
    nothing_left()


@pytest.mark.parametrize(
    "pack", [lambda *files: ("s.zip", zipped(*files)), lambda *files: ("s.tar.gz", tarred(*files, mode="w:gz"))]
)
def test_lists_and_captions_in_archives(images, bring, pack):
    ended = bring(images, pack(
        ("set/labels.csv", b"file;label\n1.png;ja\n2.png;nein\n"),
        ("set/1.png", picture(1)), ("set/1.txt", b" Links. "),
        ("set/2.png", picture(2)), ("set/2.png.txt", "Grüße".encode("utf-16")), ("set/readme.txt", b"About."),
    ))  # fmt: skip
    assert said(images) == {"set/1.png": ("ja", "Links."), "set/2.png": ("nein", "Grüße")}
    assert list(ended.refusals.values_list("name", flat=True)) == ["set/readme.txt"]


def test_a_list_can_speak_of_texts_and_is_itself_one_when_it_names_none(texts, bring):
    ended = bring(
        texts, ("metadata.csv", b"file,label\na.txt,calm\nb.txt,wild\n"), ("a.txt", b"one"), ("b.txt", b"two")
    )
    assert said(texts) == {"a.txt": ("calm", ""), "b.txt": ("wild", "")} and not ended.set_aside
    ended = bring(texts, ("labels.csv", b"text,label\nHello there,x\nGood bye,y\n"))
    assert ended.accepted == 2


def test_labels_from_names(images, bring):
    options = checked({"label_from": "{label}_{group}_*.png"})
    bring(images, ("set/7_theo_3.png", picture(1)), ("set/other.png", picture(2)), options=options)
    assert {(item.label, item.group) for item in images.items.all()} == {("7", "theo"), ("set", "")}


def test_the_form_takes_how_files_are_named(images, owner, client):
    client.force_login(owner)
    page = client.get(reverse("dataset", args=[images.pk])).content.decode()
    assert 'name="option.label_from"' in page
    for given, kept in (("{label}_*.png", 1), ("no placeholder", 1)):
        sent = SimpleUploadedFile("7_a.png", picture(1))
        client.post(reverse("dataset-upload", args=[images.pk]), {"files": sent, "option.label_from": given})
        assert [made.options for made in images.imports.all()] == [{"label_from": "{label}_*.png"}] * kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*.wav", "needs {label}"), ("{label}{group}.wav", "between two placeholders"), ("{label}*.wav", "between"),
        ("{label}_{label}.wav", "twice"), ("{word}_{label}", "in braces"), ("a*b*c*d*{label}", "at most 3"),
        ("(a+)+${label", "needs"),
    ],
)  # fmt: skip
def test_patterns_that_can_not_be_used_are_refused(text, words):
    with pytest.raises(InvalidInputError) as caught:
        checked({"label_from": text})
    assert words in caught.value.message


def test_patterns_hold_no_expressions_and_take_no_time():
    hostile = pattern("(a+)+_{label}_*x*y*z")
    assert marks_from_name("a" * 400 + "_b_" + "xyx" * 30, hostile).label == ""
    assert marks_from_name("(a+)+_b_xyz", hostile).label == "b"
    assert marks_from_name("set/train/7.wav", pattern("set/{split}/{label}.wav")).metadata == {"split": "train"}


def test_real_pictures_with_captions(images, bring):
    folder = data("dreambooth_dev")
    files = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]
    ended = bring(images, *files)
    assert ended.accepted == 15
    assert {(item.label, item.caption, item.subject.name) for item in images.items.all()} == {
        ("dog", "a photo of sks dog", "dog6"), ("toy", "a photo of sks toy", "duck_toy"),
        ("backpack", "a photo of sks backpack", "backpack"),
    }  # fmt: skip
    without_list = [(name, content) for name, content in files if name != "metadata.jsonl"]
    images.items.all().delete()
    bring(images, *without_list)
    assert images.items.get(name="dog6/00.jpg").caption == "a photo of sks dog"
    assert images.items.get(name="dog6/00.jpg").label == "dog6"


def test_real_photos_labelled_by_their_folders(images, bring):
    folder = data("sign_digits")
    files = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.glob("*/*"))]
    ended = bring(images, ("sign_digits.zip", zipped(*files)))
    assert ended.accepted == 600 and images.items.filter(label="3").count() == 60
