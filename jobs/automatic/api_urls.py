from django.urls import path

from jobs.automatic import api

urlpatterns = [
    path("training/automatic", api.AutomaticView.as_view(), name="api-automatic"),
    path("training/automatic/start", api.AutomaticStartView.as_view(), name="api-automatic-start"),
]
