from django.urls import path

from performance.drift import api

urlpatterns = [
    path("performance/drift/check", api.AskView.as_view(), name="api-drift-ask"),
    path("performance/drift/checks", api.ChecksView.as_view(), name="api-drift-checks"),
    path("performance/drift/checks/<int:check_id>", api.CheckView.as_view(), name="api-drift-check"),
    path("models/<int:model_id>/drift-monitor", api.MonitorView.as_view(), name="api-drift-monitor"),
]
