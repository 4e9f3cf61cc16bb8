from django.urls import path

from performance.drift import views

urlpatterns = [
    path("performance/drift", views.overview, name="drift"),
    path("performance/drift/checks", views.checks, name="drift-checks"),
    path("performance/drift/checks/<int:pk>", views.check, name="drift-check"),
    path("performance/drift/models/<int:pk>", views.monitor, name="drift-monitor"),
    path("performance/drift/models/<int:pk>/check", views.ask, name="drift-ask"),
]
