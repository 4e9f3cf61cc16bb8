"""The page about the data model is that of the models."""

from __future__ import annotations

from pathlib import Path

from django.apps import apps
from django.conf import settings

from trainhub.management.commands.model_docs import ROOMS, document


def test_the_written_page_is_up_to_date():
    written = (Path(settings.BASE_DIR) / "docs" / "data-model.md").read_text(encoding="utf-8")
    assert written == document(), "Run: python manage.py model_docs"


def test_every_table_of_the_hub_is_told_in_words():
    for room in ROOMS:
        for table in apps.get_app_config(room).get_models():
            assert table.__doc__ and not table.__doc__.startswith(f"{table.__name__}("), table
            assert f"### {table.__name__}\n" in document()
