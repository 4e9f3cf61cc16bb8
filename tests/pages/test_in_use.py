"""What is in use on a model's page: deployed, watched and undeployed by those who may."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from engine.predict import PredictionUnavailable
from registry import access
from registry.models import Alias, Deployment, Served
from registry.serving import streaming
from registry.serving.live import ModelSource
from tests.pages.conftest import HTMX
from tests.world import make_user, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(owner):
    return make_version(owner)


def shown(client, version):
    return client.get(f"/models/{version.model_id}").content.decode()


def test_an_empty_section_says_what_deploying_is_and_offers_it(page, version):
    html = shown(page, version)
    assert "Nothing is deployed" in html and "Whichever is champion" in html and "v1</option>" in html


def test_a_version_is_deployed_and_undeployed_after_a_question(page, version):
    answer = page.post(f"/models/{version.model_id}/deploy", {"what": version.pk, "replicas": "3"}, follow=True)
    assert "is deployed" in answer.content.decode()
    made = Deployment.objects.get()
    assert (made.version, made.replicas) == (version, 3)
    assert "0 of 3" in shown(page, version)
    assert "Undeploy Teller v1?" in page.get(f"/deployments/{made.pk}/undeploy").content.decode()
    assert page.post(f"/deployments/{made.pk}/undeploy").status_code == 302
    assert "Nothing is deployed" in shown(page, version)


def test_a_name_is_deployed_and_shows_who_has_it_and_what_nodes_say(page, version):
    Alias.objects.create(model=version.model, name="champion", version=version, since=timezone.now())
    page.post(f"/models/{version.model_id}/deploy", {"what": "champion", "replicas": "1"})
    replicas = [{"pid": 4, "ready": True, "memory": 5 << 20, "requests": 12}]
    Served.objects.create(version=version, node="n", state="ready", replicas=replicas, memory_bytes=5 << 20,
                          requests=12, restarts=1, heard_at=timezone.now())  # fmt: skip
    html = page.get(f"/models/{version.model_id}/in-use", headers=HTMX).content.decode()
    assert "Champion" in html and "Ready" in html and "1 of 1" in html and "1 restart after" in html
    assert "<html" not in html


@pytest.mark.parametrize("wrong", [{"what": "hero"}, {"what": "champion", "replicas": "x"}, {"what": "99999999"}, {}])
def test_a_wrong_form_is_refused_in_words(page, version, wrong):
    answer = page.post(f"/models/{version.model_id}/deploy", wrong, follow=True)
    assert answer.status_code == 200 and not Deployment.objects.exists()


def test_who_may_not_sees_the_section_without_its_buttons(client, version):
    access.make_roles()
    carol = make_user("carol")
    carol.groups.add(Group.objects.get(name="Approvers"))
    client.force_login(carol)
    made = Deployment.objects.create(model=version.model, version=version, created_by=version.model.owner)
    html = shown(client, version)
    assert "Deployed" in html and "Undeploy" not in html and "Deploy</button>" not in html
    client.post(f"/models/{version.model_id}/deploy", {"what": "champion"})
    client.post(f"/deployments/{made.pk}/undeploy")
    assert list(Deployment.objects.filter(ended_at=None)) == [made]


def test_a_stranger_finds_nothing(client, stranger, version):
    client.force_login(stranger)
    for address in (f"/models/{version.model_id}/deploy", f"/versions/{version.pk}/try/stream"):
        assert client.post(address, {"what": "champion", "prompt": "x"}).status_code == 404


def test_an_open_page_is_told_when_what_is_in_use_changes(owner, version):
    source = ModelSource.open(owner, str(version.model_id), {})
    assert source.topics == (f"model.{version.model_id}",)
    assert [message.event for message in (*source.snapshot(), *source.update())] == ["items", "items"]


def test_a_text_arrives_as_it_is_written_and_ends_as_the_page_draws_it(page, version, monkeypatch):
    pieces = [{"piece": "b"}, {"text": "ab", "completion": "b"}]
    monkeypatch.setattr(streaming, "stream", lambda **asked: iter(pieces))
    monkeypatch.setattr(streaming.writing, "write", lambda *what: pytest.fail("what is tried on a page is not logged"))
    answer = page.post(f"/versions/{version.pk}/try/stream", {"prompt": "a"})

    async def read():
        return b"".join([part async for part in answer.streaming_content]).decode()

    text = asyncio.run(read())
    assert text.startswith('event: piece\ndata: {"piece": "b"}') and "Generated text" in text


def test_a_wrong_parameter_is_told_as_the_page_tells_it(page, version):
    answer = page.post(f"/versions/{version.pk}/try/stream", {"prompt": "a", "temperature": "9"})
    assert answer.status_code == 400 and "Temperature" in answer.content.decode()


def test_a_version_that_can_not_answer_says_so_in_the_place_of_the_answer(page, version, monkeypatch):
    def nobody(**asked):
        raise PredictionUnavailable("The model server ended.", "Ask again.")
        yield

    monkeypatch.setattr(streaming, "stream", nobody)
    answer = page.post(f"/versions/{version.pk}/try/stream", {"prompt": "a"})
    text = answer.content.decode()
    assert answer.status_code == 503 and "The model server ended." in text and "<html" not in text
    version.archived_at = timezone.now()
    version.save()
    answer = page.post(f"/versions/{version.pk}/try/stream", {"prompt": "a"})
    assert answer.status_code == 409 and "<html" not in answer.content.decode()
