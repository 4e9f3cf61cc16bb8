"""Addresses that say by which thread they are answered."""

import threading

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

both = threading.Barrier(2)
ended = threading.Event()


@csrf_exempt
@login_not_required
def echo(request):
    return JsonResponse({"thread": threading.get_ident(), "body": request.body.decode()}, status=201)


@login_not_required
def together(request):
    both.wait(10)
    return JsonResponse({"thread": threading.get_ident()})


@login_not_required
def fails(request):
    raise KeyError("nobody thought of it")


@login_not_required
def pieces(request):
    mine = threading.get_ident()

    async def made():
        for _ in range(3):
            yield str(await sync_to_async(threading.get_ident)() == mine) + "\n"

    return StreamingHttpResponse(made())


@login_not_required
def endless(request):
    async def made():
        try:
            while True:
                await sync_to_async(threading.get_ident)()
                yield "more\n"
        finally:
            ended.set()

    return StreamingHttpResponse(made())


@login_not_required
def breaks(request):
    async def made():
        yield "first\n"
        raise OSError("the disk is gone")

    return StreamingHttpResponse(made())


def server_error(request):
    return HttpResponse("in words", status=500)


handler500 = "tests.common.handler_urls.server_error"
urlpatterns = [path(view.__name__, view) for view in (echo, together, fails, pieces, endless, breaks)]
