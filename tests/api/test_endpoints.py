"""Endpoints through the API."""

from jobs.models import Endpoint

KEY = "sk-very-secret-marker"
GOOD = {"name": "my-server", "url": "https://93.184.216.34/v1", "model": "tiny", "key": KEY}


def test_an_endpoint_is_made_read_changed_and_deleted_and_its_key_is_never_shown(alice, mallory):
    answer = alice.post_json("training/endpoints", GOOD)
    assert answer.status_code == 201
    row = answer.json()
    assert row["has_key"] and "key" not in row and KEY not in answer.content.decode()
    address = f"training/endpoints/{row['id']}"
    changed = alice.send("PATCH", address, {"model": "small", "retries": 0})
    assert changed.json()["model"] == "small" and changed.json()["has_key"] and KEY not in changed.content.decode()
    listed = alice.get("training/endpoints")
    assert listed.json()["count"] == 1 and KEY not in listed.content.decode()
    assert mallory.get("training/endpoints").json()["count"] == 0
    for method, path, body in (("GET", address, None), ("PATCH", address, {"model": "x"}), ("DELETE", address, None),
                               ("POST", f"{address}/try", None)):  # fmt: skip
        assert mallory.send(method, path, body).status_code == 404
    assert alice.send("PATCH", address, {"key": ""}).json()["has_key"] is False
    assert alice.send("DELETE", address).status_code == 204 and not Endpoint.objects.exists()


def test_refusals_name_the_field(alice):
    answer = alice.post_json("training/endpoints", GOOD | {"url": "http://127.0.0.1:11434/v1"})
    assert answer.status_code == 400
    assert "TRAINHUB_ALLOW_INTERNAL_ENDPOINTS" in str(answer.json()["errors"]["url"])
    assert KEY not in answer.content.decode()
    alice.post_json("training/endpoints", GOOD)
    assert alice.post_json("training/endpoints", GOOD).status_code == 409
    assert alice.post_json("training/endpoints", {"name": "a"}).status_code == 400


def test_an_endpoint_is_tried(alice, settings):
    from tests.chat_server import serving

    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.1"]
    with serving(lambda body: "Ready.") as server:
        row = alice.post_json("training/endpoints", GOOD | {"url": server.url}).json()
        tried = alice.post_json(f"training/endpoints/{row['id']}/try")
        assert tried.status_code == 200 and tried.json()["text"] == "Ready."
    assert alice.post_json(f"training/endpoints/{row['id']}/try").status_code == 503
