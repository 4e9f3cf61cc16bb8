from django.urls import path

from performance.retraining import api

urlpatterns = [
    path("performance/retrain/trigger", api.TriggerView.as_view(), name="api-retrain-trigger"),
    path("performance/retrainings", api.RetrainingsView.as_view(), name="api-retrainings"),
    path("performance/retrainings/<int:retraining_id>", api.RetrainingView.as_view(), name="api-retraining"),
    path(
        "performance/retrainings/<int:retraining_id>/approve", api.ApproveView.as_view(), name="api-retraining-approve"
    ),
    path(
        "performance/retrainings/<int:retraining_id>/decline", api.DeclineView.as_view(), name="api-retraining-decline"
    ),
    path("models/<int:model_id>/predictions/collect", api.CollectView.as_view(), name="api-predictions-collect"),
    path("models/<int:model_id>/retraining-policy", api.PolicyView.as_view(), name="api-retraining-policy"),
]
