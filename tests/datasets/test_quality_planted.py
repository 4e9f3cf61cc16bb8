"""Faults planted among 5,000 real texts, and among pictures, are found: how many of them, and how many others."""

import io
import random
import time

import pytest
from django.db import connection
from PIL import Image, ImageEnhance

from common.files import store
from datasets.freezing.splits import Record, Split
from datasets.models import Dataset, Item
from datasets.quality.runs import run_quality, start_run
from datasets.quality.texts import normal
from datasets.samples import digits
from tests.datasets.planted import paragraphs, rows, scores

PERSONAL = [
    "write to maria.lindqvist@posteo.example.org", "call +49 30 901820", "phone (212) 555-0187 after six",
    "card 4539 1488 0343 6467", "IBAN DE89 3704 0044 0532 0130 00", "from 8.8.4.4 at night", "SSN 219-09-9999",
    "ring 020 7946 0018 and ask",
]  # fmt: skip


def part_of(item):
    return Split(0.1, 0.0, 0).of(Record(item.sha256, "", "", None))


def found(dataset, code):
    return set(dataset.findings.filter(code=code).values_list("item", flat=True))


def checked(dataset, owner):
    """Run it; the CPU seconds that took."""
    with connection.cursor() as cursor:  # a run holds no transaction for long, a test does
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
    started = time.process_time()
    ended = run_quality(start_run(dataset, owner).pk)
    assert (ended.status, ended.message) == ("completed", "")
    return time.process_time() - started


def same_to_a_reader(text, chance):
    """The same text with other case and spaces."""
    words = text.split(" ")
    return chance.choice([text.upper(), "  ".join(words), f"\n{text.capitalize()} \n", "\t".join(words).lower()])


def reworded(text, chance):
    """The same text with one word in twelve replaced by another of its words, or left out."""
    words = text.split(" ")
    for place in chance.sample(range(len(words)), max(1, len(words) // 12)):
        words[place] = chance.choice([chance.choice(words), ""])
    return " ".join(words)


@pytest.fixture
def planted(owner, texts, home):
    """5,000 texts with faults, and which items have which fault."""
    chance = random.Random(20)
    base = paragraphs()[:4885]
    long = [number for number, (text, _) in enumerate(base) if len(text) >= 150]
    contents = [{"text": text} for text, _ in base]
    labels = [subject for _, subject in base]
    sources: dict[int, int] = {}  # a copy's place -> its source's
    kinds = {"duplicate": set(), "near_duplicate": set()}

    def copy(number, text):
        sources[len(contents)] = number
        same = normal(text) == normal(base[number][0])
        kinds["duplicate" if same else "near_duplicate"].add(len(contents))
        contents.append({"text": text})
        labels.append(labels[number])

    for number in chance.sample(range(len(base)), 50):
        copy(number, same_to_a_reader(base[number][0], chance))
    for number in chance.sample(long, 20):
        copy(number, reworded(base[number][0], chance))
    for number in chance.sample(
        [n for n, item in enumerate(_made(contents[:4885])) if part_of(item) == "validation"], 10
    ):
        copy(number, next(filter(_for_training, _variants(base[number][0], chance))))
    subjects = sorted({subject for _, subject in base if subject})
    wrong = chance.sample([number for number, (_, subject) in enumerate(base) if subject], 30)
    for number in wrong:
        labels[number] = chance.choice([subject for subject in subjects if subject != labels[number]])
    personal = [number for number in chance.sample(range(len(base)), 60) if number not in sources.values()][:40]
    for number in personal:
        words = contents[number]["text"].split(" ")
        words.insert(chance.randrange(len(words)), chance.choice(PERSONAL))
        contents[number] = {"text": " ".join(words)}
    items = rows(texts, contents, labels)
    files = [_file(texts, f"page-{number}.txt", paragraphs()[4885 + number][0]) for number in range(5000 - len(items))]
    for item in files[:5]:
        _damage(item)
    leaking = set()
    for place, source in sources.items():
        parts = {part_of(items[place]): items[place].pk, part_of(items[source]): items[source].pk}
        if len(parts) == 2:
            leaking.add(parts["train"])
    return {
        **{code: {items[place].pk for place in places} for code, places in kinds.items()},
        "leak": leaking, "mislabelled": {items[number].pk for number in wrong},
        "personal_data": {items[number].pk for number in personal}, "unreadable": {item.pk for item in files[:5]},
    }  # fmt: skip


def _made(contents):
    from datasets.items.rows import address

    return [Item(sha256=address(content)) for content in contents]


def _variants(text, chance):
    while True:
        yield reworded(text, chance) if len(text) >= 150 else same_to_a_reader(text, chance)


def _for_training(text):
    return part_of(_made([{"text": text}])[0]) == "train"


def _file(dataset, name, text):
    stored = store().add(text.encode())
    return Item.objects.create(
        dataset=dataset, sha256=stored.sha256, bytes=stored.bytes, name=name, media_type="text/plain",
        characters=len(text),
    )  # fmt: skip


def _damage(item):
    """Its bytes in the store are not what they were."""
    path = store().path(item.sha256)
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data[: len(data) // 2] + b"\xff" + data[len(data) // 2 + 1 :])


def test_faults_planted_in_5000_texts_are_found(owner, texts, planted):
    assert texts.items.count() == 5000
    seconds = checked(texts, owner)
    print(f"\n5,000 texts: {seconds:.1f} s of CPU")
    for code, places in planted.items():
        recall, precision = scores(found(texts, code), places)
        print(f"{code}: {len(places)} planted, recall {recall:.2f}, precision {precision:.2f}")
        assert recall >= (0.7 if code == "mislabelled" else 0.9), code
    texts.refresh_from_db()
    assert 0 < texts.quality < 100
    assert texts.items.filter(quality=None).count() == 0


def _bytes(picture, format="PNG", **options):
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def _picture(dataset, name, data, label):
    stored = store().add(data)
    return Item(
        dataset=dataset, sha256=stored.sha256, bytes=stored.bytes, name=name, label=label, media_type="image/png",
        width=8, height=8,
    )  # fmt: skip


def test_faults_planted_in_pictures_are_found(owner, images):
    chance = random.Random(21)
    base = [(file.name.split("/")[1], file.content) for file in digits()][:900]
    shown = [Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BICUBIC) for _, data in base]
    made, planted = [], {code: set() for code in ("duplicate", "near_duplicate", "mislabelled", "unreadable")}
    wrong = set(chance.sample(range(len(base)), 12))
    for number, (label, _) in enumerate(base):
        given = chance.choice([str(digit) for digit in range(10) if str(digit) != label]) if number in wrong else label
        made.append(_picture(images, f"{number}.png", _bytes(shown[number]), given))
    for number in (twice := chance.sample(range(len(base)), 15)):
        made.append(_picture(images, f"same-{number}.bmp", _bytes(shown[number], "BMP"), base[number][0]))
    changes = [
        lambda picture: _bytes(picture, "JPEG", quality=40),
        lambda picture: _bytes(picture.resize((48, 48))),
        lambda picture: _bytes(ImageEnhance.Brightness(picture).enhance(0.8)),
    ]
    for place, number in enumerate(nearly := chance.sample(range(len(base)), 15)):
        made.append(_picture(images, f"near-{number}.png", changes[place % 3](shown[number]), base[number][0]))
    Item.objects.bulk_create(made)
    Dataset.objects.filter(pk=images.pk).update(status="active", item_count=len(made))
    planted["mislabelled"] = {made[number].pk for number in wrong}
    planted["duplicate"] = {item.pk for item in made[len(base) : len(base) + len(twice)]}
    planted["near_duplicate"] = {item.pk for item in made[-len(nearly) :]}
    for item in chance.sample([item for item in made[:900] if item.pk not in planted["mislabelled"]], 5):
        planted["unreadable"].add(item.pk)
        path = store().path(item.sha256)
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[: item.bytes // 2])
    seconds = checked(images, owner)
    print(f"\n{len(made)} pictures: {seconds:.1f} s of CPU")
    for code, places in planted.items():
        places -= planted["unreadable"] if code != "unreadable" else set()
        recall, precision = scores(found(images, code), places)
        print(f"{code}: {len(places)} planted, recall {recall:.2f}, precision {precision:.2f}")
        assert recall >= (0.7 if code == "mislabelled" else 0.9), code
