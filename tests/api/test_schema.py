"""The schema is complete and clean, and the pages around it work."""

import re
from pathlib import Path

from django.conf import settings
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.api.routes import api_routes

UNLISTED = {"api-schema", "api-docs"}


def generated():
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_schema_is_made_without_a_warning():
    GENERATOR_STATS.reset()
    schema = generated()
    assert not GENERATOR_STATS
    validate_schema(schema)


def test_every_address_is_in_the_schema():
    missing = {route.template for route in api_routes() if route.name not in UNLISTED} - set(generated()["paths"])
    assert missing == set()


def test_every_operation_is_named_summed_up_and_says_how_it_fails():
    for path, operations in generated()["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), (method, path)
            assert operation["tags"], (method, path)
            problem = operation["responses"]["default"]["content"]["application/problem+json"]
            assert problem["schema"]["$ref"].endswith("/Problem")


def test_every_answer_has_a_shape():
    for path, operations in generated()["paths"].items():
        for method, operation in operations.items():
            for code, answer in operation["responses"].items():
                assert code == "204" or answer.get("content"), (method, path, code)


def test_the_schema_says_that_bodies_take_nothing_but_their_fields():
    shapes = generated()["components"]["schemas"]
    assert shapes["NewJobInputRequest"]["additionalProperties"] is False
    assert shapes["UserLimitInputRequest"]["additionalProperties"] is False
    assert "additionalProperties" not in shapes["Job"]


def test_no_schema_speaks_of_secrets():
    text = str(generated()["components"]["schemas"])
    assert not re.search(r"'(digest|password_digest|request_digest|idempotency_key)'", text)


def test_the_schema_is_served(alice, anonymous):
    answer = alice.get("schema")
    assert answer.status_code == 200
    assert b"/api/v1/training/jobs" in answer.content
    assert anonymous.get("schema").status_code == 401


def test_the_page_loads_nothing_from_elsewhere_and_has_no_script_of_its_own(client, owner):
    client.force_login(owner)
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    html = page.content.decode()
    assert "http://" not in html
    assert "https://" not in html
    assert not re.search(r"<script>|<style>|\son\w+=|style=", html)
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    script = re.search(r'src="(/api/v1/docs[^"]+)"', html)[1]
    answer = client.get(script)
    assert answer.headers["Content-Type"].startswith("application/javascript")
    assert b"/api/v1/schema" in answer.content


def test_an_unknown_address_is_a_problem_in_words(alice, anonymous):
    for path in ("/api/v1/nothing", "/api/v2/training/jobs", "/api/v1", "/api/v1/training/jobs/x"):
        for method in ("GET", "POST", "DELETE"):
            answer = alice.send(method, path)
            assert answer.status_code == 404, (method, path)
            assert answer.json()["hint"]
        assert anonymous.get(path).status_code == 401


def test_a_slash_at_the_end_is_tolerated_for_every_method(alice, anonymous):
    assert alice.get("training/jobs/").status_code == 200
    made = alice.post_json("training/jobs/", {"recipe": "simulate"})
    assert made.status_code == 201
    assert alice.send("PATCH", f"training/jobs/{made.json()['id']}/", {"name": "x"}).json()["name"] == "x"
    assert anonymous.get("training/jobs/").status_code == 401


def test_the_written_documentation_is_up_to_date():
    from trainhub.management.commands.api_docs import document

    written = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text(encoding="utf-8")
    assert written == document(), "Run: python manage.py api_docs"
