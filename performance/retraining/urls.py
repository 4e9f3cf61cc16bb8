from django.urls import path

from performance.retraining import views

urlpatterns = [
    path("performance/retraining", views.retraining, name="retraining"),
    path("performance/retraining/<int:pk>", views.one, name="retraining-one"),
    path("performance/retraining/<int:pk>/decide", views.decide, name="retraining-decide"),
    path("performance/retraining/models/<int:pk>", views.policy, name="retraining-policy"),
    path("performance/retraining/models/<int:pk>/words", views.words, name="retraining-words"),
    path("performance/retraining/models/<int:pk>/now", views.now, name="retraining-now"),
    path("models/<int:pk>/predictions/collect", views.collect, name="predictions-collect"),
]
