"""Alerts and their rules on the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.pagination import Pages
from performance.alerts import dealing, rules
from performance.alerts.access import alerts_for, get_alert, get_rule, open_for, rules_for, shown
from performance.alerts.serializers import (
    AlertDetailSerializer,
    AlertNoteInput,
    AlertQuery,
    AlertRuleChangeInput,
    AlertRuleInput,
    AlertRuleSerializer,
    AlertSerializer,
    SnoozeInput,
    kept,
)
from performance.models import Alert, AlertRule

TAGS = ["alerts"]


class ActiveAlertsView(generics.ListAPIView):
    serializer_class = AlertSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Alert]:
        return shown(open_for(self.request.user))

    @extend_schema(
        operation_id="performance_alerts_active",
        tags=TAGS,
        summary="Alerts that are open and not put off, newest first",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class AlertsView(generics.ListAPIView):
    query = AlertQuery
    serializer_class = AlertSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Alert]:
        asked = AlertQuery.read(self.request.query_params, beside=Pages.names())
        rows = shown(alerts_for(self.request.user))
        if asked.get("status") == "open":
            rows = rows.filter(status__in=Alert.OPEN)
        elif "status" in asked:
            rows = rows.filter(status=asked["status"])
        return rows.filter(**{name: asked[name] for name in ("severity", "kind", "model", "rule") if name in asked})

    @extend_schema(
        operation_id="performance_alerts_list", tags=TAGS, summary="All alerts, newest first", parameters=[AlertQuery]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class AlertView(APIView):
    @extend_schema(
        operation_id="performance_alerts_get",
        tags=TAGS,
        summary="One alert, and what happened to it",
        responses=AlertDetailSerializer,
    )
    def get(self, request: Request, alert_id: int) -> Response:
        return _answer(request, get_alert(request.user, alert_id))


class AcknowledgeView(APIView):
    @extend_schema(
        operation_id="performance_alerts_acknowledge",
        tags=TAGS,
        summary="Say that somebody is at it",
        request=AlertNoteInput,
        responses=AlertDetailSerializer,
    )
    def post(self, request: Request, alert_id: int) -> Response:
        alert = get_alert(request.user, alert_id)
        return _answer(request, dealing.acknowledge(alert, request.user, **AlertNoteInput.read(request.data)))


class ResolveView(APIView):
    @extend_schema(
        operation_id="performance_alerts_resolve",
        tags=TAGS,
        summary="Call an alert over",
        request=AlertNoteInput,
        responses=AlertDetailSerializer,
    )
    def post(self, request: Request, alert_id: int) -> Response:
        alert = get_alert(request.user, alert_id)
        return _answer(request, dealing.resolve(alert, request.user, **AlertNoteInput.read(request.data)))


class SnoozeView(APIView):
    @extend_schema(
        operation_id="performance_alerts_snooze",
        tags=TAGS,
        summary="Put an alert off until a time",
        request=SnoozeInput,
        responses=AlertDetailSerializer,
    )
    def post(self, request: Request, alert_id: int) -> Response:
        alert = get_alert(request.user, alert_id)
        return _answer(request, dealing.snooze(alert, request.user, **SnoozeInput.read(request.data)))


def _answer(request: Request, alert: Alert) -> Response:
    return Response(AlertDetailSerializer(alert, context={"request": request}).data)


class AlertRulesView(generics.ListAPIView):
    serializer_class = AlertRuleSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[AlertRule]:
        return rules_for(self.request.user).order_by("name", "id")

    @extend_schema(operation_id="performance_alert_rules_list", tags=TAGS, summary="Rules of alerts, by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="performance_alert_rules_create",
        tags=TAGS,
        summary="Add a rule",
        request=AlertRuleInput,
        responses={201: AlertRuleSerializer},
    )
    def post(self, request: Request) -> Response:
        given = AlertRuleInput.read(request.data)
        made = rules.make(None if given["of_hub"] else request.user, request.user, **kept(given))
        return Response(AlertRuleSerializer(made).data, status=201)


class AlertRuleView(APIView):
    @extend_schema(
        operation_id="performance_alert_rules_get", tags=TAGS, summary="One rule", responses=AlertRuleSerializer
    )
    def get(self, request: Request, alert_rule_id: int) -> Response:
        return Response(AlertRuleSerializer(get_rule(request.user, alert_rule_id)).data)

    @extend_schema(
        operation_id="performance_alert_rules_change",
        tags=TAGS,
        summary="Change a rule",
        request=AlertRuleChangeInput,
        responses=AlertRuleSerializer,
    )
    def patch(self, request: Request, alert_rule_id: int) -> Response:
        rule = get_rule(request.user, alert_rule_id)
        changed = rules.change(rule, request.user, **AlertRuleChangeInput.read(request.data))
        return Response(AlertRuleSerializer(changed).data)

    @extend_schema(
        operation_id="performance_alert_rules_delete", tags=TAGS, summary="Delete a rule", responses={204: None}
    )
    def delete(self, request: Request, alert_rule_id: int) -> Response:
        rules.remove(get_rule(request.user, alert_rule_id), request.user)
        return Response(status=204)
