from django.urls import path

from performance.notices import views

CHANNEL = "settings/notifications/<int:pk>"

urlpatterns = [
    path("settings/notifications", views.notifications, name="notifications"),
    path(CHANNEL, views.channel, name="channel"),
    path(f"{CHANNEL}/delete", views.channel_delete, name="channel-delete"),
    path(f"{CHANNEL}/test", views.channel_test, name="channel-test"),
    path("settings/notifications/sent/<uuid:delivery>", views.redeliver, name="redeliver"),
]
