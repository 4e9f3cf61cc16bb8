"""Endpoints for administrators: read here, changed by their page and the API. Keys are not shown."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from jobs.models import Endpoint


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "url", "model", "keyed", "updated_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "url", "model", "owner__username"]
    exclude = ["sealed_key"]

    @admin.display(boolean=True, description="key")
    def keyed(self, endpoint: Endpoint) -> bool:
        return endpoint.has_key
