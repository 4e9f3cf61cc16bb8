"""What every page knows."""

from django.conf import settings
from django.http import HttpRequest


def hub(request: HttpRequest) -> dict[str, str]:
    return {"hub_version": settings.TRAINHUB_VERSION}
