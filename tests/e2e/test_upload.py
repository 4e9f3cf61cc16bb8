"""Large files survive a lost connection and a closed page, in a real browser."""

import random
import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

MIB = 1 << 20


@pytest.fixture
def made(newcomers_hub, request):
    return newcomers_hub.post("/datasets", {"name": request.node.name[:150], "modality": "text"})["id"]


@pytest.fixture(scope="module")
def novel(tmp_path_factory):
    """A text of 20 MiB: five pieces."""
    path = tmp_path_factory.mktemp("novel") / "novel.txt"
    path.write_text(" ".join(map(str, random.Random(1).choices(range(10**7), k=20 * MIB // 8))))
    return path


class Wire:
    """Between browser and hub: counts the pieces, and breaks while `broken`."""

    def __init__(self, page):
        self.sent, self.broken, self.breaks_at = [], False, None
        page.route(re.compile(r"/api/v1/datasets/\d+/uploads"), self.pass_on)

    def pass_on(self, route):
        request = route.request
        if request.method == "PATCH":
            if len(self.sent) == self.breaks_at:
                self.broken, self.breaks_at = True, None
            if not self.broken:
                self.sent.append(int(request.headers["upload-offset"]))
        if self.broken:
            route.abort("connectionfailed")
        else:
            route.continue_()


def status(page):
    return page.locator("#upload-status")


def done(page):
    expect(page.get_by_test_id("import").first).to_contain_text(re.compile("completed", re.IGNORECASE), timeout=60_000)


def test_a_lost_connection_costs_a_piece_at_most(signed_in, made, novel, newcomers_hub):
    page = signed_in
    wire = Wire(page)
    wire.breaks_at = 2
    page.goto(f"/datasets/{made}")
    page.get_by_test_id("upload-input").set_input_files(novel)
    expect(status(page)).to_contain_text("The connection is lost")
    expect(page.get_by_test_id("upload-figures")).to_contain_text("1 file")
    wire.broken = False
    done(page)
    assert wire.sent == [0, 4 * MIB, 8 * MIB, 12 * MIB, 16 * MIB]
    expect(page.locator("#upload-controls")).to_be_hidden()
    assert newcomers_hub.get(f"/datasets/{made}/uploads")["count"] == 0


def test_a_reloaded_page_goes_on_with_the_same_file(signed_in, made, novel):
    page = signed_in
    wire = Wire(page)
    wire.breaks_at = 3
    page.goto(f"/datasets/{made}")
    page.get_by_test_id("upload-input").set_input_files(novel)
    expect(status(page)).to_contain_text("The connection is lost")
    page.reload()
    wire.broken = False
    page.get_by_test_id("upload-input").set_input_files(novel)
    done(page)
    assert wire.sent == [0, 4 * MIB, 8 * MIB, 12 * MIB, 16 * MIB]


def test_sending_can_be_paused_and_cancelled(signed_in, made, novel, newcomers_hub):
    page = signed_in
    wire = Wire(page)
    wire.breaks_at = 1
    page.goto(f"/datasets/{made}")
    page.get_by_test_id("upload-input").set_input_files(novel)
    expect(status(page)).to_contain_text("The connection is lost")
    page.get_by_test_id("upload-pause").click()
    expect(status(page)).to_have_text("Paused.")
    expect(page.get_by_test_id("upload-pause")).to_have_text("Go on")
    wire.broken = False
    assert newcomers_hub.get(f"/datasets/{made}/uploads")["results"][0]["received"] == 4 * MIB
    page.get_by_test_id("upload-cancel").click()
    expect(status(page)).to_contain_text("Cancelled")
    newcomers_hub.until(lambda: newcomers_hub.get(f"/datasets/{made}/uploads")["count"] == 0, 10, "no upload")
    assert wire.sent == [0]


def test_a_folder_of_small_files_goes_as_one(signed_in, made, tmp_path, newcomers_hub):
    page = signed_in
    rng = random.Random(2)
    names = [f"letters/{'a long name ' * 10}{number}/{number}.txt" for number in range(40)]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(" ".join(map(str, rng.choices(range(10**7), k=60_000))))
    wire = Wire(page)
    page.goto(f"/datasets/{made}")
    page.get_by_test_id("upload-folder-input").set_input_files(tmp_path / "letters")
    done(page)
    items = newcomers_hub.get(f"/datasets/{made}/items?page_size=100")["results"]
    assert {item["name"] for item in items} == set(names)
    assert wire.sent[0] == 0 and len(wire.sent) >= 4
