"""Sessions for administrators: searched and read. Nothing here looks at all of a million."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.by_id import ById
from engine.catalogue import RECIPES
from history import browsing
from history.filters import OUTCOMES, Filters
from history.models import SavedView, Session


class _Known(admin.SimpleListFilter):
    """Values that are known beforehand; Django's own filter reads all rows for those in use."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> QuerySet[Session]:
        known = {value for value, _ in self.lookup_choices}
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() in known else queryset


class OutcomeFilter(_Known):
    title = parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(outcome, outcome.capitalize()) for outcome in OUTCOMES]


class RecipeFilter(_Known):
    title = parameter_name = "recipe"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(recipe.name, recipe.title) for recipe in RECIPES.values()]


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "outcome", "user", "recipe", "best_model", "total_seconds", "started_at"]
    list_select_related = ["user"]
    list_filter = ["kind", OutcomeFilter, RecipeFilter, "fine_tuning_triggered", "started_at"]
    search_fields = ["name"]
    search_help_text = (
        "A session's id, a user's name, or part of a name or note: then the newest 200 that are found soon. "
        "The page History looks further."
    )
    sortable_by = ["started_at"]
    paginator = ById

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Session], search_term: str
    ) -> tuple[QuerySet[Session], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(session_id=uuid.UUID(term)), False
        except ValueError:
            pass
        user = get_user_model().objects.filter(username=term).first()
        if user is not None:
            return queryset.filter(user=user), False
        found = browsing.page(request.user, Filters(search=term[:200]), size=browsing.MAX_PAGE)
        return queryset.filter(pk__in=found.ids), False


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "sort", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username"]
