from django.urls import path

from registry.logged import api

urlpatterns = [
    path("predictions", api.PredictionsView.as_view(), name="api-predictions"),
    path("predictions/export", api.ExportView.as_view(), name="api-predictions-export"),
    path("predictions/outcomes", api.OutcomesView.as_view(), name="api-outcomes"),
    path("predictions/<uuid:prediction_id>", api.PredictionView.as_view(), name="api-prediction"),
    path("predictions/<uuid:prediction_id>/outcome", api.OutcomeView.as_view(), name="api-outcome"),
    path("models/<int:model_id>/logging", api.PolicyView.as_view(), name="api-model-logging"),
]
