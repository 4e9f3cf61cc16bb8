from django.urls import path

from performance import views

urlpatterns = [
    path("performance", views.performance, name="performance"),
    path("performance/models/<int:pk>", views.figure, name="performance-model"),
]
