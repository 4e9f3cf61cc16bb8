from django.urls import path

from performance.experiments import api

urlpatterns = [
    path("performance/ab-test", api.ExperimentsView.as_view(), name="api-experiments"),
    path("performance/ab-test/start", api.StartView.as_view(), name="api-experiment-start"),
    path("performance/ab-test/<int:experiment_id>/results", api.ResultsView.as_view(), name="api-experiment"),
    path("performance/ab-test/<int:experiment_id>/stop", api.StopView.as_view(), name="api-experiment-stop"),
    path("performance/ab-test/<int:experiment_id>/look", api.LookView.as_view(), name="api-experiment-look"),
    path("performance/ab-test/<int:experiment_id>/promote", api.PromoteView.as_view(), name="api-experiment-promote"),
]
