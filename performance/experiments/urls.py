from django.urls import path

from performance.experiments import views

urlpatterns = [
    path("performance/experiments", views.experiments, name="experiments"),
    path("performance/experiments/new", views.new, name="experiment-new"),
    path("performance/experiments/<int:pk>", views.experiment, name="experiment"),
    path("performance/experiments/<int:pk>/look", views.look, name="experiment-look"),
    path("performance/experiments/<int:pk>/<str:verb>", views.action, name="experiment-action"),
]
