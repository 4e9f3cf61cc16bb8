"""From a commit, and from a training step, to the open page; and a thousand open pages."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from statistics import median

import psutil

from bench.report import line, spread
from tests.browser import launch_arguments
from tests.hub.harness import PASSWORD, Hub

STREAMS = 1000
WATCH = """
() => {
  window.seen = {};
  const look = () => {
    const found = document.querySelector('[data-testid="job-step"]');
    const step = found && parseInt(found.textContent.replace(/[^0-9].*$/s, '').trim() || found.textContent);
    if (step && !(step in window.seen)) window.seen[step] = performance.timeOrigin + performance.now();
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
  look();
}
"""


def main() -> None:
    print("\n## Push", flush=True)
    hub = Hub()
    try:
        hub.start()
        _to_the_page(hub)
        _many_streams(hub)
    finally:
        hub.stop()


def _to_the_page(hub: Hub) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_arguments())
        page = browser.new_page()
        page.goto(f"{hub.url}/login")
        page.fill('input[name="username"]', "admin")
        page.fill('input[name="password"]', PASSWORD)
        page.click('[data-testid="sign-in"]')
        page.wait_for_url(f"{hub.url}/")
        job = _job(hub, steps=250, seconds=0.1)
        page.goto(f"{hub.url}/jobs/{job}")
        page.evaluate(WATCH)
        # A second connection listens as the web process does: when a commit's notification arrives is its time.
        commits = _commits(hub, job, 22)
        hub.wait_job(job)
        page.wait_for_timeout(500)
        seen = {int(step): at / 1000 for step, at in page.evaluate("() => window.seen").items()}
        browser.close()
    steps = dict(hub.sql(_STEPS, job))
    shown = sorted(step for step in seen if step in steps)
    line(
        f"step → page ({len(shown)} changes in a browser)",
        spread([seen[s] - float(steps[s]) for s in shown]),
        "p50 300 ms",
    )
    lags = [seen[step] - at for step, at in commits.items() if step in seen]
    line(f"commit → page ({len(lags)} changes)", spread(lags), "p50 50 ms, p95 150 ms")


_STEPS = """
SELECT r.step, extract(epoch FROM r.recorded_at) FROM jobs_progressrow r JOIN jobs_metricseries s ON s.id = r.series_id
WHERE s.job_id = %s AND s.name = 'train/loss'
"""


def _job(hub: Hub, steps: int, seconds: float) -> int:
    config = {"steps": steps, "step_seconds": seconds}
    job = hub.post("/training/jobs", {"recipe": "simulate", "name": "push", "config": config})["id"]
    hub.wait_step(job, 1)
    return job


def _commits(hub: Hub, job: int, seconds: float) -> dict[int, float]:
    """When the step that a commit wrote became visible: notification time by step."""
    import psycopg

    from common.embedded_postgres import EmbeddedPostgres
    from common.push import PG_CHANNEL

    found: dict[int, float] = {}
    url = EmbeddedPostgres(hub.home).url
    with psycopg.connect(url, autocommit=True) as listener, psycopg.connect(url, autocommit=True) as reader:
        listener.execute(f"LISTEN {PG_CHANNEL}")
        for notification in listener.notifies(timeout=seconds):
            if f"job.{job}" in notification.payload.split():
                at = time.time()
                row = reader.execute("SELECT current_step FROM jobs_job WHERE id = %s", [job]).fetchone()
                found.setdefault(row[0], at)
    return found


def _many_streams(hub: Hub) -> None:
    job = _job(hub, steps=600, seconds=0.1)
    web = next(process for process in hub.processes() if "uvicorn" in " ".join(process.cmdline()))
    asyncio.run(_open_many(hub, job, web))
    hub.post(f"/training/jobs/{job}/cancel")
    hub.wait_job(job, "cancelled")


async def _open_many(hub: Hub, job: int, web: psutil.Process) -> None:
    one = await _open(hub, job)
    await asyncio.sleep(2)
    before, connections = web.memory_full_info().uss, _connections(hub)
    viewers = [one]
    for _ in range(0, STREAMS - 1, 50):
        viewers += await asyncio.gather(*(_open(hub, job) for _ in range(min(50, STREAMS - len(viewers)))))
    arrivals: dict[int, list[float]] = {}
    readers = [asyncio.create_task(_read(stream, arrivals)) for stream, _ in viewers]
    await asyncio.sleep(10)
    after, now = web.memory_full_info().uss, _connections(hub)
    for reader in readers:
        reader.cancel()
    for _, writer in viewers:
        writer.close()
    complete = {step: times for step, times in arrivals.items() if len(times) >= STREAMS * 0.99}
    line(
        f"{len(viewers)} open streams: memory of the web process for each",
        f"{(after - before) / STREAMS / 1024:.0f} KiB",
    )
    line("database connections of the hub: one stream → all", f"{connections} → {now}", "no growth")
    lags = [max(times) - min(times) for times in complete.values()]
    line(f"first → last of {STREAMS} viewers ({len(lags)} changes)", spread(lags) if lags else "none complete")
    started = [median(times) - min(times) for times in complete.values()]
    line("first → median viewer", spread(started) if started else "none complete")


async def _open(hub: Hub, job: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, limit=1 << 20)
    head = f"GET /stream/job/{job} HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\nAuthorization: Bearer {hub.token}\r\n\r\n"
    writer.write(head.encode())
    status = await asyncio.wait_for(reader.readline(), 30)
    assert b"200" in status, status
    return reader, writer


async def _read(reader: asyncio.StreamReader, arrivals: dict[int, list[float]]) -> None:
    pattern = re.compile(rb"^event: points")
    following = False
    while line_ := await reader.readline():
        if pattern.match(line_):
            following = True
        elif following and line_.startswith(b"data: "):
            following = False
            curves = json.loads(line_[6:])  # {name: [steps, values]}
            step = max(steps[-1] for steps, _ in curves.values())
            arrivals.setdefault(step, []).append(time.time())


def _connections(hub: Hub) -> int:
    return hub.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'trainhub' AND pid <> pg_backend_pid()")[0][0]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trainhub.settings")
    main()
