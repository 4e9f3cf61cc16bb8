"""Tokens for administrators: seen and revoked, never made or read."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import ApiToken, SignInCount


class ReadOnlyAdmin(admin.ModelAdmin):
    """What the hub writes itself is looked at here, not edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ["name", "prefix", "user", "created_at", "last_used_at", "expires_at"]
    list_select_related = ["user"]
    list_filter = ["created_at", "expires_at"]
    search_fields = ["name", "prefix", "user__username"]
    fields = list_display
    show_full_result_count = False


@admin.register(SignInCount)
class SignInCountAdmin(ReadOnlyAdmin):
    list_display = ["key", "attempts", "since"]
    show_full_result_count = False
