"""The documentation of the recipes is what their code says."""

from pathlib import Path

from django.conf import settings

from engine.catalogue import BUILT_IN
from trainhub.management.commands.recipe_docs import document


def test_the_written_documentation_is_up_to_date():
    written = (Path(settings.BASE_DIR) / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert written == document(), "Run: python manage.py recipe_docs"


def test_every_recipe_says_what_it_is_for():
    text = document()
    assert text.count("| setting | default | may be | what it does |") >= len(BUILT_IN)
    assert "## Your own recipe" in text and "None" not in text
