"""Nodes, slots and limits for administrators: their verbs as actions, limits by the rules of `jobs.limits`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from jobs import limits, nodes
from jobs.models import Limit, Node, NodeEvent, SharedHome, Slot


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    list_display = [
        "name", "host", "state", "draining", "set_aside_until", "labels", "version", "started_at", "heartbeat_at",
    ]  # fmt: skip
    list_filter = ["state", "draining"]
    search_fields = ["name", "host"]
    actions = ["drain", "resume", "forget"]

    def has_control_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_node"))

    def has_forget_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.delete_node"))

    @admin.action(description="Drain: finish what runs, take nothing more", permissions=["control"])
    def drain(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        self._carry_out(request, rows, "drained", nodes.drain)

    @admin.action(description="Resume: take jobs again", permissions=["control"])
    def resume(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        self._carry_out(request, rows, "taking jobs again", nodes.resume)

    @admin.action(description="Forget: gone for good", permissions=["forget"])
    def forget(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        self._carry_out(request, rows, "forgotten", nodes.forget)

    def _carry_out(
        self, request: HttpRequest, rows: QuerySet[Node], outcome: str, verb: Callable[[Node, Any], object]
    ) -> None:
        for node in rows.order_by("name"):
            try:
                verb(node, request.user)
            except ProblemError as error:
                self.message_user(request, f"{error.message} {error.hint}".strip(), messages.WARNING)
            else:
                self.message_user(request, f"Node '{node.name}' is {outcome}.", messages.SUCCESS)


@admin.register(SharedHome)
class SharedHomeAdmin(ReadOnlyAdmin):
    list_display = ["identity"]


@admin.register(NodeEvent)
class NodeEventAdmin(ReadOnlyAdmin):
    list_display = ["node", "at", "kind", "actor", "message"]
    list_select_related = ["node", "actor"]
    list_filter = ["kind", "node", "at"]
    search_fields = ["node__name", "message"]


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ["node", "index", "device", "queue", "enabled", "held_by", "answered_at"]
    list_select_related = ["node", "held_by"]
    list_filter = ["enabled", "node"]


class LimitForm(forms.ModelForm):
    """Asks the verb's own rules, so that the page says in words what it would refuse."""

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        numbers = given.get("max_running"), given.get("max_active")
        try:
            limits.check_limit(given.get("user"), given.get("subject"), *numbers)
        except ProblemError as error:
            raise forms.ValidationError(f"{error.message} {error.hint}") from None
        if numbers == (None, None) and not self.errors:
            raise forms.ValidationError("Neither number is given. Type one, or delete this limit.")
        return given


@admin.register(Limit)
class LimitAdmin(admin.ModelAdmin):
    form = LimitForm
    list_display = ["__str__", "max_running", "max_active"]
    list_select_related = ["user", "subject"]
    autocomplete_fields = ["user"]
    raw_id_fields = ["subject"]
    fields = ["user", "subject", "max_running", "max_active"]

    def get_readonly_fields(self, request: HttpRequest, obj: Limit | None = None) -> list[str]:
        """Whose limit it is stays: for another user there is another limit."""
        return ["user", "subject"] if obj else []

    def save_model(self, request: HttpRequest, obj: Limit, form: forms.ModelForm, change: bool) -> None:
        saved = limits.set_limit(
            request.user,
            user=obj.user,
            subject=obj.subject,
            max_running=obj.max_running,
            max_active=obj.max_active,
        )
        if saved:
            obj.pk = saved.pk

    def delete_model(self, request: HttpRequest, obj: Limit) -> None:
        limits.set_limit(request.user, user=obj.user, subject=obj.subject)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Limit]) -> None:
        for row in queryset.select_related("user", "subject"):
            self.delete_model(request, row)
