from django.urls import path

from registry.serving import pages

urlpatterns = [
    path("models/<int:pk>/in-use", pages.section, name="model-in-use"),
    path("models/<int:pk>/deploy", pages.deploy, name="model-deploy"),
    path("deployments/<int:pk>/undeploy", pages.undeploy, name="undeploy"),
    path("versions/<int:pk>/try/stream", pages.try_stream, name="version-try-stream"),
]
