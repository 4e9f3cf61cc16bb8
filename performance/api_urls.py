from django.urls import path

from performance import api

urlpatterns = [
    path("performance/metrics/record", api.RecordView.as_view(), name="api-metric-record"),
    path("performance/metrics/trend", api.TrendView.as_view(), name="api-metric-trend"),
]
