from django.urls import path

from performance.notices import api

CHANNEL = "performance/channels/<int:channel_id>"
DELIVERY = "performance/deliveries/<uuid:delivery_id>/redeliver"

urlpatterns = [
    path("performance/channels", api.ChannelsView.as_view(), name="api-channels"),
    path(CHANNEL, api.ChannelView.as_view(), name="api-channel"),
    path(f"{CHANNEL}/test", api.TestChannelView.as_view(), name="api-channel-test"),
    path(f"{CHANNEL}/deliveries", api.DeliveriesView.as_view(), name="api-channel-deliveries"),
    path(
        "performance/deliveries/<uuid:delivery_id>/redeliver",
        api.RedeliverView.as_view(),
        name="api-delivery-redeliver",
    ),
]
