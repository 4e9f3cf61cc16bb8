"""Whatever is sent, the answer is a problem in words: never a 500, never NaN, never more than was asked for."""

import json
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from performance.models import MetricRecord
from tests.api.routes import api_routes
from tests.world import make_version

ORM = [
    "owner__password__startswith=argon2", "owner__password__regex=^a", "_connector=OR", "_negated=True",
    "pk__in=1", "ordering=owner__password", "order_by=owner__password", "ordering=-owner__password,id",
    "ordering=password", "search=%25", "search=_", "search=x' OR '1'='1", "status__in=failed", "fields=owner",
]  # fmt: skip
NUMBERS = [
    "nan", "inf", "-inf", "1e999", "-1e999", "1e400", "9" * 30, "9" * 5000, "-1", "0", "0x10", "1_0", "٣", "", "1.5",
    "null", "\x00", "9223372036854775808", "-9223372036854775809", "true", "[]", "1e5",
]  # fmt: skip
LITERALS = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 30, "9" * 5000, "-1", "1.5", "true", '"nan"', '"1e999"',
    "[]", "{}", "null", '""', "9223372036854775808", "1e400", '"\\u0000"', '"\\ud800"',
]  # fmt: skip


FEW = 4


def some(values, turn):
    """A few of the values, other ones for each turn: all of them meet what all addresses share."""
    return [values[(turn * FEW + number) % len(values)] for number in range(FEW)]


def schema():
    from drf_spectacular.generators import SchemaGenerator

    return SchemaGenerator().get_schema(request=None, public=True)


def refuse_constants(name):
    raise AssertionError(f"{name} in an answer")


def test_what_takes_no_body_refuses_one(staff, world):
    """Who sends one expects something of it."""
    posts = {path: operations["post"] for path, operations in schema()["paths"].items() if "post" in operations}
    bare = [path for path, operation in posts.items() if "requestBody" not in operation]
    assert len(bare) > 20
    for path in bare:
        answer = staff.send("POST", path.format(**world.parameters()), {"nonsense": 1})
        assert answer.status_code == 400 and "nonsense" in answer.json()["errors"], (path, answer.content)


def test_S03_no_filter_reaches_beyond_what_is_offered(alice, world):
    for turn, route in enumerate(api_routes()):
        plain = alice.get(route.address(world.parameters()))
        if plain.status_code != 200 or plain.headers["Content-Type"] != "application/json":
            continue
        for query in some(ORM, turn):
            with CaptureQueriesContext(connection) as queries:
                answer = alice.get(f"{route.address(world.parameters())}?{query}")
            assert answer.status_code in {200, 400, 404}, (route.path, query)
            if answer.status_code == 200 and not query.startswith("search="):
                assert count(answer) == count(plain), (route.path, query)
            for sql in queries.captured_queries:
                # The hash is read with the token, which it can void, and nowhere else.
                assert '"password"' not in sql["sql"] or "accounts_apitoken" in sql["sql"], (route.path, query)


def count(answer):
    body = answer.json()
    return body.get("count") if isinstance(body, dict) else len(body)


def test_S25_no_number_in_a_query_breaks_anything(alice, world):
    paths = schema()["paths"]
    broken, known = [], Counter()
    for route in api_routes():
        operation = paths.get(route.template, {}).get("get")
        for parameter in (operation or {}).get("parameters", []):
            if parameter["in"] != "query":
                continue
            numeric = parameter["schema"].get("type") in {"integer", "number"}
            # What a name means is read in one place: its first addresses meet all numbers.
            turn = known[parameter["name"]]
            known[parameter["name"]] += 1
            numbers = NUMBERS if numeric else ("nan", "9" * 5000, "\x00")
            for number in numbers if turn < 2 or not numeric else some(NUMBERS, turn):
                answer = alice.get(route.address(world.parameters()), {parameter["name"]: number})
                if answer.status_code >= 500:
                    broken.append((route.path, parameter["name"], number[:20]))
                elif not answer.streaming and "json" in answer.headers["Content-Type"]:
                    json.loads(answer.content, parse_constant=refuse_constants)
    assert broken == []


def test_S25_no_number_in_an_address_breaks_anything(alice):
    for number in ("0", "9" * 30, "9" * 5000, "9223372036854775808"):
        for path in (
            "training/jobs/{}",
            "training/jobs/{}/attempts",
            "models/{}",
            "versions/{}",
            "datasets/{}",
            "training-history/user/{}/stats",
        ):
            assert alice.get(path.format(number)).status_code == 404, path


def bodies(world):
    now = timezone.now().isoformat()
    return {
        "training/jobs": {
            "recipe": "simulate", "seed": 1, "priority": 1, "validation_fraction": 0.1, "test_fraction": 0.1,
            "dataset": None, "dataset_version": None, "subject": None, "model": None, "base_version": None,
            "name": "n", "config": {"steps": 1, "step_seconds": 1, "duration": 1, "fail_at_step": None, "memory": 0},
            "resources": {"device": "any", "devices": 1, "memory_gib": 1.5, "labels": ["a", "b"]}, "preemptible": True,
            "not_before": "2999-01-01T00:00:00Z", "after": [world.job.pk], "after_failure": "wait", "max_seconds": 60,
            "phase_seconds": {"training": 60}, "stall_seconds": 60,
        },
        f"training/jobs/{world.job.pk}/move": {"where": "top"},
        f"training/jobs/{world.job.pk}/cancel": {"reason": "x"},
        "training/queue": {"action": "priority", "ids": [world.job.pk, 2], "value": 5, "reason": "x"},
        "training-history": {
            "started_at": now, "completed_at": now, "examples_requested": 2, "examples_successful": 1, "name": "x",
            "examples_failed": 1, "saved_count": 1, "quality_average": 1.5, "quality_min": 1, "quality_max": 2,
            "total_seconds": 1, "examples_before": 1, "examples_after": 2, "metrics": {"a": 1}, "genres": ["x"],
            "genre_distribution": {"x": 1}, "performance_by_model": {"m": {"wins": 1, "average_quality": 1}},
        },
        "performance/metrics/record": {"version": world.version.pk, "name": "x", "value": 1, "recorded_at": now},
        f"datasets/{world.dataset.pk}/versions": {"validation_fraction": 0.1, "test_fraction": 0.1, "seed": 1},
        f"versions/{world.version.pk}/predict": {"inputs": ["x"], "parameters": {"temperature": 1}},
        "auth/tokens": {"name": "x", "expires_at": None},
        f"versions/{world.version.pk}/promote": {"reason": "x", "override": False},
        f"models/{world.version.model_id}/rollback": {"reason": "x", "leaving": 1},
        f"promotions/{world.promotion.pk}/withdraw": {"note": "x"},
    }  # fmt: skip


def leaves(value, path=()):
    """Each place in a body, and the body with another literal there."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    yield path


def replaced(body, path, literal):
    text = json.loads(json.dumps(body))
    place = text
    if not path:
        return literal
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "@@HERE@@"
    return json.dumps(text).replace('"@@HERE@@"', literal)


def test_S25_no_literal_in_a_body_breaks_anything_or_is_stored(alice, world):
    broken = []
    for path, body in bodies(world).items():
        for leaf in leaves(body):
            for literal in LITERALS:
                answer = alice.post_json(path, replaced(body, leaf, literal))
                if answer.status_code >= 500 and answer.status_code != 503:  # 503: no model process runs here
                    broken.append((path, leaf, literal[:20], answer.status_code))
                else:
                    json.loads(answer.content, parse_constant=refuse_constants)
                    assert answer.status_code < 400 or answer.json()["hint"]
    assert broken == []
    for record in MetricRecord.objects.all():
        assert abs(record.value) < 1e308


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "training/jobs/{job}", {"name": "n", "priority": 1, "preemptible": True, "max_seconds": 60}),
        ("PUT", "training/limits", {
            "default": {"max_running": 1, "max_active": 2}, "users": [{"user": "alice", "max_running": 1}],
            "subjects": [{"subject": 1, "max_active": 1}],
        }),
        ("PUT", "models/{model}/policy", {
            "metric": "validation/loss", "margin": 0.1, "minimum_examples": 1, "same_held_out": True,
            "needs_test": "ab", "approvals": 1, "role": None,
        }),
        ("PUT", "models/{model}/aliases/challenger", {"version": 1, "reason": "x"}),
    ],
)  # fmt: skip
def test_S25_no_literal_in_a_change_breaks_anything(staff, world, method, path, body):
    address = path.format(job=world.job.pk, model=world.version.model_id)
    for leaf in leaves(body):
        for literal in [*LITERALS, "[[[[1]]]]", '{"a": [NaN]}', '[{"user": {"a": []}}]', "[null]", '"high"', '"HIGH "']:
            answer = staff.send(method, address, replaced(body, leaf, literal))
            assert answer.status_code < 500, (leaf, literal[:20])
            json.loads(answer.content, parse_constant=refuse_constants)
            assert answer.status_code < 400 or answer.json()["hint"], (leaf, literal[:20])


@pytest.mark.parametrize("name", ["%00", "%ff", "..%2f..", "a" * 5000, "%F0%9F%92%A9", "' OR 1=1", "NaN"])
def test_S25_no_name_in_an_address_breaks_anything(staff, name):
    assert staff.get(f"training/nodes/{name}").status_code == 404
    assert staff.post_json(f"training/nodes/{name}/drain").status_code == 404
    assert staff.delete(f"training/nodes/{name}").status_code == 404


@pytest.mark.parametrize(
    "body", ["", "{", "nul", "[]", "3", '"x"', "\udcff", "[" * 100_000, '{"a":' * 100_000, "{" + '"a":1,' * 9 + "}"]
)
def test_a_body_that_is_no_object_is_refused(alice, body):
    answer = alice.post_json("training/jobs", body.encode("utf-8", "surrogateescape"))
    assert answer.status_code == 400
    assert answer.json()["hint"]


def test_S21_a_body_beyond_the_limit_is_refused(alice):
    answer = alice.post_json("training/jobs", '{"recipe": "' + "x" * 6_000_000 + '"}')
    assert answer.status_code == 413
    assert answer.json()["hint"]


def test_S23_a_reported_session_takes_nothing_but_what_is_offered(alice, owner, stranger):
    from history.models import Session

    now = timezone.now().isoformat()
    rest = {"user": stranger.pk, "user_id": stranger.pk, "id": 77, "job": 1, "job_id": 1, "model_version": 1,
            "created_at": "2000-01-01T00:00:00Z", "request_digest": "x"}  # fmt: skip
    body = {"started_at": now, "completed_at": now}
    answer = alice.post_json("training-history", body | rest)
    assert (answer.status_code, set(answer.json()["errors"])) == (400, set(rest))
    assert not Session.objects.exists()
    assert alice.post_json("training-history", body).status_code == 201
    session = Session.objects.get()
    assert (session.user, session.job, session.model_version) == (owner, None, None)
    assert session.created_at.year > 2000
    assert session.request_digest != "x"


def test_S23_a_reported_figure_takes_nothing_but_what_is_offered(alice, owner, stranger):
    mine, theirs = make_version(owner), make_version(stranger, "Theirs")
    body = {"version": mine.pk, "name": "x", "value": 1}
    for rest in ({"model": theirs.model_id}, {"source": "evaluation"}, {"id": 5}):
        answer = alice.post_json("performance/metrics/record", body | rest)
        assert (answer.status_code, set(answer.json()["errors"])) == (400, set(rest))
    assert alice.post_json("performance/metrics/record", body).status_code == 201
    record = MetricRecord.objects.get()
    assert (record.model_id, record.source) == (mine.model_id, "reported")


SLIPS = [
    ("POST", "training/jobs", {"recipe": "simulate", "priorty": 5, "not_befor": "x"},
     {"priorty": "Did you mean 'priority'?", "not_befor": "Did you mean 'not_before'?"}),
    ("PATCH", "training/jobs/{job}", {"not_before": None}, {"not_before": "Known are: name, priority, "}),
    ("PATCH", "training/jobs/{job}", {"name": "n", "after": [12]}, {"after": "Known are: name, priority, "}),
    ("POST", "training/jobs/{job}/pause", {"reason": "lunch"}, {"reason": "This takes no input."}),
    ("PUT", "training/limits", {"user": "admin", "running": 1},
     {"user": "Did you mean 'users'?", "running": "Known are: default, users, subjects."}),
    ("PUT", "training/limits", {"users": [{"user": "alice", "max_runing": 1}]},
     {"users.0.max_runing": "Did you mean 'max_running'?"}),
    ("POST", "training/templates", {"name": "t", "request": {"recipe": "simulate", "not_before": None}},
     {"request.not_before": "Known are: recipe, "}),
    ("POST", "training/nodes/n1/drain", {"now": True}, {"now": "This takes no input."}),
    ("POST", "versions/{version}/verify", {"now": True}, {"now": "This takes no input."}),
    ("POST", "versions/{version}/archive", {"reason": "old"}, {"reason": "This takes no input."}),
    ("GET", "training/jobs?stauts=failed", None, {"stauts": "Did you mean 'status'?"}),
    ("GET", "training/queue?search=fox", None, {"search": "Known are: page, page_size."}),
    ("GET", "training/jobs/{job}/logs?form=1", None, {"form": "Did you mean 'format'?"}),
    ("GET", "training-history/user/{user}/date-range?star=2026-01-01T00:00:00Z", None,
     {"star": "Did you mean 'start'?"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "told"), SLIPS)
def test_a_name_that_is_not_known_is_refused_and_the_nearest_one_told(staff, world, owner, method, path, body, told):
    """Ignored, a slip of the pen made a job of another priority than was asked for, and nobody was told."""
    before = Job.objects.values().get()
    answer = staff.send(method, path.format(job=world.job.pk, user=owner.pk, version=world.version.pk), body)
    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert set(errors) == set(told)
    for name, text in told.items():
        assert text in errors[name][0]
    assert Job.objects.values().get() == before


def test_what_is_wrong_and_what_is_not_known_are_told_together(alice):
    errors = alice.post_json("training/jobs", {"recipe": "nothing", "priorty": 5}).json()["errors"]
    assert set(errors) == {"recipe", "priorty"}


def test_links_between_pages_keep_their_filters_and_work(alice, world):
    assert alice.post_json("training/jobs", {"recipe": "simulate"}).status_code == 201
    first = alice.get("training/jobs?page_size=1&ordering=name&recipe=simulate").json()
    second = alice.get(first["next"].removeprefix("http://testserver"))
    assert second.status_code == 200
    assert second.json()["results"][0]["id"] != first["results"][0]["id"]


def test_GET_changes_nothing(alice, world):
    for route in api_routes():
        alice.get(route.address(world.parameters()))
    before = Job.objects.values().get(), world.dataset.items.count()
    for route in api_routes():
        alice.get(route.address(world.parameters()))
    assert (Job.objects.values().get(), world.dataset.items.count()) == before
