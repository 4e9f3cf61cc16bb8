"""Who leaves while they wait is forgotten as a whole: no clock of theirs goes off later."""

from __future__ import annotations

import asyncio

from engine.serving.orders import Order
from engine.serving.pool import Pool
from engine.serving.served import Request


def test_a_request_whose_sender_left_has_no_clock_any_more():
    def fork(order, fd):
        raise OSError

    async def go():
        pool, heard, failed = Pool(fork, 1 << 30), [], []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failed.append(context))
        request = Request("1", "version-1", b"", lambda header, body: heard.append(header))
        pool.submit(request, Order("version-1", "/nowhere", "text-generation"), seconds=0.01)
        pool.leave(request)
        await asyncio.sleep(0.05)
        return heard, failed, len(pool.models["version-1"].queue)

    assert asyncio.run(go()) == ([], [], 0)
