from django.urls import path

from jobs.endpoints import api

ENDPOINT = "training/endpoints/<int:endpoint_id>"

urlpatterns = [
    path("training/endpoints", api.EndpointsView.as_view(), name="api-endpoints"),
    path(ENDPOINT, api.EndpointView.as_view(), name="api-endpoint"),
    path(f"{ENDPOINT}/try", api.TryEndpointView.as_view(), name="api-endpoint-try"),
]
