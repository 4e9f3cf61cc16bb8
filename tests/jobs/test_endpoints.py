"""Endpoints of models: who may be asked, and where keys are seen."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import serializers as django_serializers
from django.db import connection, connections
from django.urls import reverse

from common.errors import ConflictError, InvalidInputError, UnavailableError
from common.secrets import seal, unseal
from jobs.endpoints import verbs
from jobs.models import Endpoint
from tests.chat_server import Reply, serving

KEY = "sk-very-secret-marker"
GOOD = {"name": "my-server", "url": "https://93.184.216.34/v1", "model": "tiny"}


@pytest.fixture
def endpoint(owner):
    return verbs.make(owner, **GOOD, key=KEY)


def test_a_key_is_sealed_and_comes_out_only_by_its_verb(endpoint):
    assert verbs.key_of(endpoint) == KEY
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(e)::text FROM jobs_endpoint e")
        assert KEY not in cursor.fetchone()[0]
    assert KEY not in django_serializers.serialize("json", [endpoint]) and KEY not in repr(vars(endpoint))
    assert seal(KEY) != seal(KEY)


def test_another_secret_key_opens_nothing_and_an_earlier_one_does(endpoint, settings):
    former = settings.SECRET_KEY
    settings.SECRET_KEY = "another" * 10
    with pytest.raises(ConflictError, match="secret key is another one"):
        verbs.key_of(endpoint)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert verbs.key_of(endpoint) == KEY
    assert unseal(seal("x")) == "x"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "My server"), ("name", "-a"), ("name", "a" * 51), ("name", "a\nb"),
        ("url", ""), ("url", "api.example.com/v1"), ("url", "ftp://93.184.216.34/v1"), ("url", "http://"),
        ("url", "https://user:word@93.184.216.34/v1"), ("url", "https://93.184.216.34/v1?key=1"),
        ("url", "https://93.184.216.34:99999/v1"), ("url", "http://[::1"), ("url", "https://exa mple.org/"),
        ("url", "http://127.0.0.1:11434/v1"), ("url", "http://localhost/v1"), ("url", "http://[::1]/v1"),
        ("url", "http://169.254.169.254/v1"), ("url", "http://2130706433/v1"), ("url", "https://a.org/" + "x" * 500),
        ("model", ""), ("model", "x" * 201), ("model", "a\x00b"),
        ("key", "two words"), ("key", "line\nend"), ("key", "schlüssel"), ("key", "x" * 4001),
        ("timeout_seconds", 0), ("timeout_seconds", 3601), ("timeout_seconds", float("nan")),
        ("retries", -1), ("retries", 11), ("requests_per_minute", -1), ("requests_per_minute", 10**9),
    ],
)  # fmt: skip
def test_what_can_t_be_an_endpoint_is_refused_at_its_field(owner, field, value):
    with pytest.raises(InvalidInputError) as refused:
        verbs.make(owner, **{**GOOD, field: value})
    assert list(refused.value.fields) == [field] and not Endpoint.objects.exists()


def test_names_are_a_person_s_own(owner, stranger, endpoint):
    with pytest.raises(ConflictError, match="'my-server' already"):
        verbs.make(owner, **GOOD)
    assert verbs.make(stranger, **GOOD).pk != endpoint.pk


def test_nobody_keeps_endpoints_without_end(owner, monkeypatch):
    monkeypatch.setattr(verbs, "MOST", 2)
    for n in range(2):
        verbs.make(owner, **GOOD | {"name": f"server-{n}"})
    with pytest.raises(ConflictError, match="2 endpoints"):
        verbs.make(owner, **GOOD)


def test_a_key_does_not_travel_to_another_server(endpoint):
    with pytest.raises(InvalidInputError, match="another server"):
        verbs.change(endpoint, url="https://93.184.216.35/v1")
    with pytest.raises(InvalidInputError, match="another server"):
        verbs.change(endpoint, url="http://93.184.216.34/v1")  # where everybody on the way can read it
    with pytest.raises(InvalidInputError):
        verbs.change(endpoint, url="http://[::1")
    assert verbs.key_of(verbs.change(endpoint, url=" HTTPS://93.184.216.34/v2")) == KEY, "the same server"
    moved = verbs.change(endpoint, url="https://93.184.216.35/v1", key="other")
    assert verbs.key_of(moved) == "other"
    assert verbs.key_of(verbs.change(moved, key="")) == ""


def test_the_address_of_the_method_itself_will_do(owner):
    made = verbs.make(owner, **GOOD | {"url": "https://93.184.216.34/v1/chat/completions/"})
    assert made.url == "https://93.184.216.34/v1"


def test_it_is_tried_with_one_question(owner, settings):
    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.1"]
    with serving(lambda body: "Ready.") as server:
        made = verbs.make(owner, **GOOD | {"url": server.url}, key=KEY)
        assert verbs.try_out(made, owner).text == "Ready."
        assert server.headers[0]["authorization"] == f"Bearer {KEY}" and server.asked[0]["model"] == "tiny"
        settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = []
        with pytest.raises(UnavailableError, match="private network"):
            verbs.try_out(made, owner)
        assert len(server.asked) == 1
    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.1"]
    with pytest.raises(UnavailableError, match="does not answer"):
        verbs.try_out(made, owner)


def test_what_the_server_says_of_the_key_is_shown_without_it(owner, settings):
    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.0/8"]
    said = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    with serving(lambda body: Reply(401, said)) as server:
        made = verbs.make(owner, **GOOD | {"url": server.url}, key=KEY)
        with pytest.raises(UnavailableError, match="401: Incorrect API key provided: …") as refused:
            verbs.try_out(made, owner)
    assert KEY not in str(refused.value)


def test_a_person_has_only_few_tries_at_once(owner, stranger, settings):
    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.1"]
    come, go_on = threading.Semaphore(0), threading.Event()

    def slow(body):
        come.release()
        go_on.wait(20)
        return "Ready."

    with serving(slow) as server, ThreadPoolExecutor(verbs.MOST_TRIES) as pool:
        made = verbs.make(owner, **GOOD | {"url": server.url})
        first = [pool.submit(verbs.try_out, made, owner) for _ in range(verbs.MOST_TRIES)]
        assert all(come.acquire(timeout=10) for _ in first)
        with pytest.raises(ConflictError, match="2 of your tries are under way"):
            verbs.try_out(made, owner)
        go_on.set()
        assert [one.result(10).text for one in first] == ["Ready."] * verbs.MOST_TRIES
        assert verbs.try_out(made, stranger).text == verbs.try_out(made, owner).text == "Ready."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", ["page", "api"])
def test_no_database_connection_is_held_while_a_stranger_s_server_is_waited_for(owner, settings, client, door):
    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.1"]
    held = []

    def look(body):
        held.append(asking.connection is not None)
        return "Ready."

    asking = connections["default"]  # that of this thread, which asks
    client.force_login(owner)
    with serving(look) as server:
        made = verbs.make(owner, **GOOD | {"url": server.url})
        name, how = {"page": ("endpoint-try", {}), "api": ("api-endpoint-try", {"content_type": "application/json"})}[
            door
        ]
        answer = client.post(reverse(name, args=[made.pk]), **how)
    assert answer.status_code in (200, 302) and held == [False]
