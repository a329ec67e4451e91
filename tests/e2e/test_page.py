"""The live page in a real browser, over a real loop and simulated devices. The browser complains of nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from reconciler.server.page import DIST
from tests.browser import Watched, chromium, serious_violations
from tests.databases import free_ports
from tests.e2e.plant import Plant, collector, sleeper
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

ROWS = "tr[data-row]"
CRASHES = "  restart: {delay: 30s}\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert (DIST / "index.html").is_file(), "the page is not built: make page"
    with chromium() as browser:
        yield browser


OF_A_DEATH = (
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    "503 (Service Unavailable)",
)
"""What the browser itself says of a server that was killed, maybe as it answered, or has not made its first pass."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A plant that no test changes: a press that reads, an oven that is away, an export that is stopped."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    try:
        press = collector("press", plant.device())
        plant.write("press.yaml", named(press, "press", "一号冲压机", line="1"))
        plant.write("oven.yaml", named(collector("oven", 1), "oven", "Tempering oven", line="2"))
        plant.write("export.yaml", sleeper("export", "  state: stopped\n"))
        plant.start_loop()
        plant.wait_ready("press", "oven")
        yield plant
    finally:
        plant.close()


@pytest.fixture
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page with the settings that the test's `browsing` mark gives; at the end nothing was complained of."""
    mark = request.node.get_closest_marker("browsing")
    settings: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, **(mark.kwargs if mark else {})}
    context = browser.new_context(**settings)
    watched = Watched(context)
    yield watched
    context.close()
    assert watched.complaints == []


@pytest.fixture
def page(watched: Watched, shared: Plant) -> Page:
    watched.page.goto(shared.url)
    expect(watched.page.locator(ROWS)).to_have_count(4)
    return watched.page


def named(manifest: str, name: str, title: str, **labels: str) -> str:
    """A manifest with a title and labels."""
    given = ", ".join(f'{key}: "{value}"' for key, value in labels.items())
    return manifest.replace(f"{{name: {name}}}", f"{{name: {name}, title: {title}, labels: {{{given}}}}}", 1)


def names(page: Page) -> list[str]:
    """The names in the table, in order."""
    return [link.get_attribute("data-name") or "" for link in page.locator(f"{ROWS} a").all()]


def test_the_first_screen_says_what_needs_attention(page: Page) -> None:
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("1 collector or sink needs attention")
    expect(verdict).to_contain_text("Tempering oven")
    expect(verdict).to_contain_text("device not connected")
    expect(page.locator(".figures")).to_contain_text("1 / 2")


def test_the_worst_stand_first_and_each_shows_title_name_and_condition(page: Page) -> None:
    assert names(page)[0] == "oven"
    expect(page.locator(ROWS).first).to_contain_text("device not connected")
    expect(page.locator(ROWS, has_text="一号冲压机")).to_contain_text("press · modbus")


def test_filters_by_text_label_and_health_stand_in_the_address(page: Page) -> None:
    page.get_by_role("searchbox").fill("冲压")
    expect(page.locator(ROWS)).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Label").select_option("line=2")
    expect(page.locator(ROWS)).to_have_count(1)
    page.reload()
    expect(page.locator(ROWS)).to_have_count(1)
    assert names(page) == ["oven"]
    page.get_by_label("Label").select_option("")
    page.get_by_role("button", name="stopped").click()
    expect(page.locator(ROWS)).to_have_count(1)
    assert names(page) == ["export"]


def test_the_order_stays_for_the_next_visit(page: Page, shared: Plant) -> None:
    page.get_by_role("button", name="Name", exact=True).click()
    page.get_by_role("button", name="Name", exact=True).click()
    assert names(page) == ["press", "oven", "local", "export"]
    page.goto("about:blank")
    page.goto(shared.url)
    expect(page.locator(ROWS)).to_have_count(4)
    assert names(page) == ["press", "oven", "local", "export"]
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")


def test_the_keyboard_reaches_all_and_escape_comes_back(page: Page) -> None:
    page.locator(f"{ROWS} a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.dataset.name")
    assert second == names(page)[2]
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "drawer-title"
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.activeElement.dataset.name") == second


def test_a_deep_link_opens_all_there_is_to_know(watched: Watched, shared: Plant) -> None:
    watched.page.goto(f"{shared.url}/#open=oven")
    drawer = watched.page.get_by_role("dialog", name="Tempering oven")
    expect(drawer).to_contain_text("Check power, cable, address and port")
    expect(drawer).to_contain_text("cannot connect to 127.0.0.1:1")
    expect(drawer).to_contain_text("oven.yaml:1")
    expect(drawer).to_contain_text("daq restart oven")
    expect(drawer).to_contain_text("It has not ended yet.")
    expect(drawer.locator("pre").last).to_contain_text("cannot connect")
    expect(drawer.locator(".log")).to_contain_text("reads its devices")


def test_values_are_followed_while_the_drawer_is_open(watched: Watched, shared: Plant) -> None:
    watched.page.goto(f"{shared.url}/#open=press")
    values = watched.page.locator(".values")
    expect(values).to_contain_text("first")
    expect(values.locator("canvas")).to_have_count(2)
    said = values.locator("tr").first.locator(".number b")
    expect(said).not_to_have_text("–")


@pytest.mark.browsing(color_scheme="dark")
def test_dark_where_the_system_is_and_light_on_request(page: Page) -> None:
    assert brightness(page) < 60
    page.get_by_role("button", name="Theme").click()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert brightness(page) > 200
    page.reload()
    expect(page.locator(ROWS)).to_have_count(4)
    assert brightness(page) > 200


@pytest.mark.browsing(viewport={"width": 360, "height": 780})
def test_a_phone_shows_all_without_scrolling_sideways(page: Page) -> None:
    for opened in ("", "#open=oven"):
        page.goto(f"{page.url.partition('#')[0]}{opened}")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.get_by_role("dialog")).to_be_visible()


@pytest.mark.browsing(locale="zh-CN")
def test_chinese_where_the_browser_is_and_english_on_request(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator(ROWS).first).to_contain_text("设备未连接")
    page.get_by_role("button", name="English").click()
    expect(page.locator(ROWS).first).to_contain_text("device not connected")
    page.reload()
    expect(page.locator(ROWS).first).to_contain_text("device not connected")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, shared: Plant, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(shared.url)
    expect(page.locator(ROWS)).to_have_count(4)
    assert serious_violations(page) == []
    page.goto(f"{shared.url}/#open=oven")
    expect(page.get_by_role("dialog").locator(".log")).to_be_visible()
    assert serious_violations(page) == []
    context.close()


def test_a_kill_shows_within_a_second(plant: Plant, watched: Watched) -> None:
    plant.write("export.yaml", sleeper("export", CRASHES))
    plant.start_loop()
    plant.wait_ready("export")
    watched.page.goto(plant.url)
    row = watched.page.locator(ROWS, has_text="export")
    expect(row).to_contain_text("running")
    os.kill(plant.status("export")["pid"], signal.SIGKILL)
    expect(row).to_contain_text("waiting to restart", timeout=1000)
    expect(watched.page.get_by_role("status")).to_contain_text("export: down")


def test_a_dead_reconciler_is_told_and_its_successor_taken_over(plant: Plant, watched: Watched) -> None:
    (port,) = free_ports(1)
    address = ("--listen", f"127.0.0.1:{port}")
    plant.write("export.yaml", sleeper("export"))
    plant.start_loop(*address)
    plant.wait_ready("export")
    watched.page.goto(plant.url)
    expect(watched.page.locator(".verdict")).to_contain_text("Everything is running")
    plant.end_loop(signal.SIGKILL)
    expect(watched.page.get_by_role("alert")).to_contain_text("Reconciler silent for")
    expect(watched.page.locator(ROWS, has_text="export")).to_be_visible()
    wait_until(lambda: any("ERR_CONNECTION_REFUSED" in c for c in watched.complaints), "it to look again")
    plant.start_loop(*address)
    expect(watched.page.locator(".verdict")).to_contain_text("Everything is running", timeout=20_000)
    watched.complaints[:] = [c for c in watched.complaints if not any(what in c for what in OF_A_DEATH)]


def test_a_stopped_reconciler_is_told_though_its_port_answers(plant: Plant, watched: Watched) -> None:
    plant.write("export.yaml", sleeper("export"))
    loop = plant.start_loop()
    plant.wait_ready("export")
    watched.page.goto(plant.url)
    expect(watched.page.locator(ROWS)).to_have_count(2)
    loop.send_signal(signal.SIGSTOP)
    try:
        expect(watched.page.get_by_role("alert")).to_contain_text("Reconciler silent for", timeout=25_000)
    finally:
        loop.send_signal(signal.SIGCONT)
    expect(watched.page.locator(".verdict")).to_contain_text("Everything is running", timeout=20_000)


def test_a_token_is_asked_for_once(plant: Plant, watched: Watched, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("let-me-in\n")
    token.chmod(0o600)
    plant.write("export.yaml", sleeper("export"))
    plant.start_loop("--api-token-file", str(token))
    page = watched.page
    page.goto(plant.url)
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Open").click()
    page.get_by_label("Token").fill("let-me-in")
    page.get_by_role("button", name="Open").click()
    expect(page.locator(ROWS)).to_have_count(2)
    page.reload()
    expect(page.locator(ROWS)).to_have_count(2)
    assert page.evaluate("localStorage.length") <= 1
    watched.complaints[:] = [c for c in watched.complaints if "401" not in c]


def brightness(page: Page) -> float:
    """Of the page's background, 0 to 255."""
    said: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(float(part) for part in said.removeprefix("rgb(").rstrip(")").split(",")) / 3
