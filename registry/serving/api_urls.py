from django.urls import path

from registry.serving import api, predict_api

urlpatterns = [
    path("versions/<int:version_id>/predict", predict_api.VersionPredictView.as_view(), name="api-version-predict"),
    path("models/<int:model_id>/predict", predict_api.ModelPredictView.as_view(), name="api-model-predict"),
    path("versions/<int:version_id>/deploy", api.DeployVersionView.as_view(), name="api-version-deploy"),
    path("models/<int:model_id>/deploy", api.DeployModelView.as_view(), name="api-model-deploy"),
    path("deployments", api.DeploymentsView.as_view(), name="api-deployments"),
    path("deployments/<int:deployment_id>", api.DeploymentView.as_view(), name="api-deployment"),
]
