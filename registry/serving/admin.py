"""Deployments, and what model servers say of them, for administrators: searched and read."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from registry.models import Deployment, Served


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    list_display = ["model", "version", "alias", "replicas", "created_by", "created_at", "ended_at"]
    list_select_related = ["model", "version__model", "created_by"]
    list_filter = ["alias", "ended_at"]
    search_fields = ["model__name", "model__owner__username"]


@admin.register(Served)
class ServedAdmin(ReadOnlyAdmin):
    list_display = ["version", "node", "state", "requests", "restarts", "memory_bytes", "heard_at", "message"]
    list_select_related = ["version__model"]
    list_filter = ["state", "node"]
    search_fields = ["version__model__name", "node"]
