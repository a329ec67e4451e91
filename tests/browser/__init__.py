"""The live page in a real browser: Debian's chromium, over a plant of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.databases import free_ports
from tests.e2e.plant import Plant
from tests.programs import program

AXE = Path(__file__).parents[2] / "reconciler/web/node_modules/axe-core/axe.min.js"
DEMO = Path(__file__).parents[2] / "desired"
PORT = re.compile(r"(?<=port: )\d{5}|(?<=--port, \")\d{5}|(?<=127\.0\.0\.1:)\d{5}")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window; skips where chromium is not installed, fails with CI=true."""
    path = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and everything it complains of: errors, warnings, refused content, failed requests."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error(`refused: ${e.violatedDirective}`))"
        )

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")


def serious_violations(page: Page) -> list[str]:
    """What axe-core finds to keep people from using the page: the rule and where."""
    page.evaluate(AXE.read_text("utf-8"))
    page.evaluate("Promise.all(document.getAnimations().map(a => a.finished))")  # half-faded is no colour
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{v['id']} {n['target']}: {n['failureSummary']}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"]
    ]


def write_demo(plant: Plant) -> None:
    """Write the demo plant's manifests, on ports of their own so that several can run."""
    texts = {f.relative_to(DEMO): f.read_text("utf-8") for f in DEMO.rglob("*") if f.is_file()}
    used = sorted({port for text in texts.values() for port in PORT.findall(text)})
    ports = dict(zip(used, map(str, free_ports(len(used))), strict=True))
    for path, text in texts.items():
        target = plant.desired / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(PORT.sub(lambda found: ports[found[0]], text), "utf-8")
