"""Reports as pages draw them."""

import re

from engine import report as blocks
from tests.pages.conftest import HTMX  # noqa: F401
from tests.world import make_version, png

EVIL = "<script>alert(1)</script>"
ALL = [
    blocks.Figures(title="Figures", figures=[
        blocks.Figure(name="Accuracy", value=0.974, baseline=0.5, better="higher"),
        blocks.Figure(name="Loss", value=None, baseline=1, better="lower"),
        blocks.Figure(name=EVIL, value=2, baseline=1, better="lower"),
    ]),
    blocks.Table(title="Table", columns=["Class", "Items"], rows=[[EVIL, 3], ["b", None]]),
    blocks.Matrix(title="Matrix", labels=[EVIL, "b"], counts=[[1, 2], [3, 4]]),
    blocks.Bars(title="Bars", labels=[EVIL, "b"], values=[1.0, -2.0]),
    blocks.Lines(
        title="Lines", x=[0, 1, 2], x_label="Step", y_label=EVIL, diagonal=True,
        lines=[blocks.Line(name=EVIL, values=[1, 2, None]), blocks.Line(name="dots", values=[0, 1, 2], dots=True)],
        bands=[blocks.Band(name="90 %", low=[0, 1, 2], high=[2, 3, 4])],
        stretches=[blocks.Stretch(name="odd", first=1, last=2)],
    ),
    blocks.Texts(title="Texts", entries=[blocks.Passage(heading=EVIL, text=EVIL)]),
    blocks.Pictures(title="Pictures", entries=[blocks.Picture(caption=EVIL, file="a.png")]),
]  # fmt: skip


def version_with_all(owner, **wanted):
    return make_version(owner, more={"report.json": blocks.pack(ALL), "a.png": png()}, **wanted)


def test_every_kind_of_block_is_drawn_and_escaped(page, owner):
    version = version_with_all(owner)
    html = page.get(f"/versions/{version.pk}").content.decode()
    for block in ALL:
        assert f">{block.title}</h3>" in html
    assert EVIL not in html and "&lt;script&gt;" in html
    assert "97.4 %" in html and ">better<" in html and ">worse<" in html and "–" in html
    assert html.count("The numbers as a table") == 3
    assert not re.search(r"\sstyle=", html)
    assert f"/versions/{version.pk}/pictures/a.png" in html


def test_a_picture_is_sealed_and_has_its_type(page, owner):
    version = version_with_all(owner)
    answer = page.get(f"/versions/{version.pk}/pictures/a.png")
    assert answer.content == png() and answer.headers["Content-Type"] == "image/png"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert page.get(f"/versions/{version.pk}/pictures/config.json").status_code == 404


def test_a_broken_report_leaves_the_page_as_it_is(page, owner):
    version = make_version(owner, more={"report.json": b"{"})
    answer = page.get(f"/versions/{version.pk}")
    assert answer.status_code == 200 and "The report can&#x27;t be shown" in answer.content.decode()


def test_the_page_of_a_completed_job_shows_its_report(page, owner, world):
    from django.utils import timezone

    from jobs.models import Job

    version = version_with_all(owner)
    Job.objects.filter(pk=world.job.pk).update(status="completed", completed_at=timezone.now(), model_version=version)
    html = page.get(f"/jobs/{world.job.pk}").content.decode()
    assert 'data-testid="report"' in html and ">Bars</h3>" in html
