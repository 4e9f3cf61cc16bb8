"""Tokens for administrators: seen and revoked, never made or read."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import ApiToken, AuditEntry, SignInCount
from common.admin import ReadOnlyAdmin


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ["name", "prefix", "user", "created_at", "last_used_at", "expires_at"]
    list_select_related = ["user"]
    list_filter = ["created_at", "expires_at"]
    search_fields = ["name", "prefix", "user__username"]
    fields = list_display

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return bool(request.user.has_perm("accounts.delete_apitoken"))


@admin.register(SignInCount)
class SignInCountAdmin(ReadOnlyAdmin):
    list_display = ["key", "attempts", "since"]

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return bool(request.user.has_perm("accounts.delete_signincount"))


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["place", "at", "actor_name", "verb", "kind", "object_id", "name"]
    list_filter = ["at", "kind"]
    search_fields = ["=actor_name", "=verb", "=object_id", "name"]
    date_hierarchy = "at"
