from django.urls import path

from performance.alerts import rule_views, views

ALERT = "performance/alerts/<int:pk>"
RULE = "performance/alerts/rules/<int:pk>"

urlpatterns = [
    path("performance/alerts", views.alerts, name="alerts"),
    path(ALERT, views.alert, name="alert"),
    path(f"{ALERT}/acknowledge", views.acknowledge, name="alert-acknowledge"),
    path(f"{ALERT}/resolve", views.resolve, name="alert-resolve"),
    path(f"{ALERT}/snooze", views.snooze, name="alert-snooze"),
    path("performance/alerts/rules", rule_views.alert_rules, name="alert-rules"),
    path("performance/alerts/rules/new", rule_views.alert_rule_new, name="alert-rule-new"),
    path(RULE, rule_views.alert_rule, name="alert-rule"),
    path(f"{RULE}/delete", rule_views.alert_rule_delete, name="alert-rule-delete"),
]
