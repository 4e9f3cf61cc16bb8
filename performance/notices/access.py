"""Who sees a channel and what was sent to it: its owner, and administrators."""

from __future__ import annotations

from django.db.models import QuerySet

from common.access import User, get_visible, visible
from performance.models import Channel, Delivery


def channels_for(user: User) -> QuerySet[Channel]:
    return visible(Channel.objects.all(), user).order_by("name", "id")


def get_channel(user: User, pk: int | str) -> Channel:
    """The channel, if it exists for this person; else NotFoundError."""
    return get_visible(Channel.objects.all(), user, pk=pk)


def get_delivery(user: User, pk: object) -> Delivery:
    """The delivery, if it exists for this person; else NotFoundError."""
    return get_visible(Delivery.objects.select_related("channel"), user, "channel__owner", pk=pk)
