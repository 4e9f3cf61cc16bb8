from django.urls import path

from performance.alerts import api

ALERT = "performance/alerts/<int:alert_id>"

urlpatterns = [
    path("performance/alerts", api.AlertsView.as_view(), name="api-alerts"),
    path("performance/alerts/active", api.ActiveAlertsView.as_view(), name="api-alerts-active"),
    path(ALERT, api.AlertView.as_view(), name="api-alert"),
    path(f"{ALERT}/acknowledge", api.AcknowledgeView.as_view(), name="api-alert-acknowledge"),
    path(f"{ALERT}/resolve", api.ResolveView.as_view(), name="api-alert-resolve"),
    path(f"{ALERT}/snooze", api.SnoozeView.as_view(), name="api-alert-snooze"),
    path("performance/alert-rules", api.AlertRulesView.as_view(), name="api-alert-rules"),
    path("performance/alert-rules/<int:alert_rule_id>", api.AlertRuleView.as_view(), name="api-alert-rule"),
]
