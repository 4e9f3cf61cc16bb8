"""Items are found by every filter, in every order, page by page, forward and back: as counting all of them says."""

import random
from itertools import product

import pytest
from django.db import connection

from common.errors import InvalidInputError
from datasets.freezing.versions import freeze
from datasets.items import browse, filters, paging, rows
from datasets.models import Finding, Item

LABELS = ["", "cats", "dogs"]
WORDS = ["fox", "grapes", "Über-50%", 'a "quoted" one', "back\\slash"]


@pytest.fixture
def many(texts):
    """A hundred and twenty rows of all sorts."""
    chance = random.Random(7)
    made = []
    for number in range(120):
        word = WORDS[number % 5]
        content = [{"text": f"the {word} {number}"}, {"prompt": f"{word} {number}?", "completion": "yes"},
                   {"messages": [{"role": "user", "content": "hm"},
                    {"role": "assistant", "content": f"{word} {number}"}]}, None][number % 4]  # fmt: skip
        made.append(Item(
            dataset=texts, sha256=f"{number:064}", name=f"part-{number % 10}/{number}.txt", content=content, bytes=9,
            label=chance.choice(LABELS), group=chance.choice(["", "g1", "g2"]), media_type="text/plain",
            review=chance.choice(["none", "approved", "rejected"]), governance=chance.choice(["unchecked", "allowed"]),
            aside=chance.choice(["", "", "by_hand", "duplicate"]), quality=chance.choice([None, 5, 50, 50, 100]),
        ))  # fmt: skip
    made = Item.objects.bulk_create(made)
    Finding.objects.bulk_create(
        Finding(dataset=texts, item=item, code="blurred", points=5, reason="It is.") for item in made[::5]
    )
    texts.item_count = 120
    texts.status = "active"
    texts.save()
    return texts


def fits(item, wanted, blurred):
    said = rows.plain_text(item.content) if item.content else ""
    text = wanted.get("search", "").lower()
    quality = item.quality if item.quality is not None else -1
    return all([
        wanted.get("label", item.label) == item.label, wanted.get("group", item.group) == item.group,
        wanted.get("review", item.review) == item.review,
        wanted.get("governance", item.governance) == item.governance,
        {"": True, "yes": bool(item.aside), "no": not item.aside}.get(wanted.get("aside", ""), item.aside == "by_hand"),
        "quality_from" not in wanted or quality >= wanted["quality_from"],
        "quality_to" not in wanted or 0 <= quality <= wanted["quality_to"],
        "finding" not in wanted or item.pk in blurred, text in item.name.lower() or text in said.lower(),
    ])  # fmt: skip


def through(dataset, asked, sort, size=25):
    """Every page from the first to the last, and then the way back."""
    pages, after = [], ""
    while True:
        part = browse.page(dataset, asked, sort=sort, after=after, size=size)
        pages.append([item.pk for item in part.items])
        if part.after is None:
            break
        after = str(part.after)
    back = [pages[-1]]
    before = part.before
    while before is not None:
        part = browse.page(dataset, asked, sort=sort, before=str(before), size=size)
        back.insert(0, [item.pk for item in part.items])
        before = part.before
    forward = [pk for one in pages for pk in one]
    assert [pk for one in back for pk in one][-len(forward) :] == forward or not pages[-1]
    return forward


WISHES = [
    {}, {"label": ""}, {"label": "cats", "review": "approved"}, {"aside": "yes"}, {"aside": "no", "label": "dogs"},
    {"aside": "by_hand"}, {"quality_from": 50}, {"quality_to": 50, "label": "cats"}, {"group": "g1"},
    {"finding": "blurred"}, {"finding": "blurred", "label": "cats"}, {"review": "rejected", "governance": "allowed"},
    {"search": "FOX"}, {"search": "part-3/"}, {"search": "50%"}, {"search": "prompt"}, {"search": 'a "quoted'},
    {"search": "k\\s"}, {"search": "üBER", "label": "dogs"}, {"search": "nothing says so"},
]  # fmt: skip


@pytest.mark.parametrize("stretch", [20, 2000])
def test_every_filter_in_every_order_gives_all_that_fit_and_nothing_else(many, monkeypatch, stretch):
    if stretch == 20:  # as if there were a million: nothing is rare, and the time is always up
        monkeypatch.setattr(browse, "RARE", -1)
        monkeypatch.setattr(paging, "BUDGET", 0)
        monkeypatch.setattr(paging, "FIRST_STRETCH", 20)
        monkeypatch.setattr(paging, "LONGEST_STRETCH", 50)
    items = list(many.items.all())
    blurred = set(Finding.objects.values_list("item", flat=True))
    for wanted, sort in [*product(WISHES, ["id"]), *product(WISHES[:5], ["-id", "quality", "-quality"])]:
        asked = filters.read(many, wanted)
        expected = [item for item in items if fits(item, wanted, blurred)]
        if "quality" in sort:
            sign = -1 if sort.startswith("-") else 1
            expected.sort(key=lambda item: (item.quality is None, sign * (item.quality or 0), sign * item.pk))
        elif sort == "-id":
            expected.reverse()
        assert through(many, asked, sort) == [item.pk for item in expected], (wanted, sort)
        if sort == "id":
            counted = browse.total(many, asked)
            assert counted.number == len(expected) if counted.exact else counted.number <= len(expected), wanted
            matching = browse.matching(many, asked)
            assert set(matching.values_list("pk", flat=True)) == {item.pk for item in expected}


def test_what_a_version_holds_is_paged_from_its_manifest(many, owner):
    many.items.filter(content=None).delete()
    version = freeze(many, owner, validation_fraction=0.3, seed=3)
    for split in ("train", "validation", ""):
        wanted = {"version": str(version.number), "split": split}
        asked = filters.read(many, wanted)
        found, after = [], ""
        while after is not None:
            part = browse.page(many, asked, after=after, size=20)
            found += [item.pk for item in part.items]
            after = str(part.after) if part.after else None
        assert len(found) == len(set(found)) == browse.total(many, asked).number
        assert set(browse.matching(many, asked)) == set(found)
        cats = filters.read(many, {**wanted, "label": "cats"})
        inside = many.items.filter(label="cats", pk__in=found).count()
        assert len(list(browse.matching(many, cats))) == inside == len(browse.page(many, cats, size=200).items)


@pytest.mark.parametrize(
    "given",
    [{"quality_from": "x"}, {"quality_to": 101}, {"review": "maybe"}, {"aside": "A B"}, {"version": 7},
     {"split": "train"}, {"finding": "'; --"}, {"label": 5}],
)  # fmt: skip
def test_what_can_not_be_asked_is_refused_by_name_or_passed_over(many, given):
    with pytest.raises(InvalidInputError) as caught:
        filters.read(many, given)
    assert caught.value.fields
    assert not filters.read(many, given, lenient=True)


@pytest.mark.parametrize("cursor", ["", "i", "i-x", "q-5", "z-1", "i-" + "9" * 30, "v-17", "-", "i--5"])
def test_a_cursor_of_nonsense_begins_at_the_start(many, cursor):
    first = browse.page(many, filters.Filters(), size=5)
    again = browse.page(many, filters.Filters(), after=cursor, size=5)
    assert [item.pk for item in again.items] == [item.pk for item in first.items]


def test_long_contents_and_previews_are_left_out_of_lists(many, django_assert_num_queries):
    long = many.items.filter(content__isnull=False).first()
    Item.objects.filter(pk=long.pk).update(bytes=50_000, facts={"head": [[1]], "rows": 9, "profile": {"a": 1}})
    with django_assert_num_queries(2):
        part = browse.page(many, filters.Filters(), size=200)
        shown = {item.pk: (item.shown, item.measured) for item in part.items}
    assert shown[long.pk] == (None, {"rows": 9})
    assert sum(content is not None for content, _ in shown.values()) == 89


def test_a_search_uses_no_extension_of_the_database(many):
    with connection.cursor() as cursor:
        cursor.execute("SELECT extname FROM pg_extension")
        assert {name for (name,) in cursor.fetchall()} <= {"plpgsql"}
