"""Pictures of the live page for README, over the demo plant with one oven that is away: ``make screenshots``."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.browser import chromium, write_demo
from tests.e2e.plant import Plant, collector, sleeper
from tests.programs import program
from tests.repository import Repository

DOCS = Path(__file__).parents[2] / "docs"
FILL_MS = 75_000
"""So long pages are left open, that their lines and charts have something to show."""

DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 360, "height": 780}, "device_scale_factor": 2}
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "page": ("", DESK),
    "page-dark": ("", {**DESK, "color_scheme": "dark"}),
    "page-drawer": ("#open=press-line", DESK),
    "page-phone": ("#open=oven", PHONE),
    "page-chinese": ("", {**DESK, "locale": "zh-CN"}),
}


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder))
        try:
            write_plant(plant)
            plant.start_loop("--node", "edge-3")
            plant.wait_ready("press-line", "boiler-house", "packing-line", "oven")
            take(plant.url)
        finally:
            plant.close()


def write_plant(plant: Plant) -> None:
    """The demo plant, committed; an oven whose port nobody listens on; an export that is stopped."""
    write_demo(plant)
    oven = collector("oven", 1, interval="1s").replace(
        "{name: oven}", '{name: oven, title: 回火炉 · tempering oven, labels: {line: "2"}}'
    )
    export = sleeper("export", "  state: stopped\n").replace(
        "{name: export}", "{name: export, title: 订单导出 · order export}"
    )
    repository = Repository(plant.root)
    repository.commit(
        {".gitignore": ".daq/\nloop.log\n", "desired/oven.yaml": oven, "desired/export.yaml": export}
    )


def take(url: str) -> None:
    """Open all pages, leave them open for a while, then picture each."""
    quant = program("pngquant")
    DOCS.mkdir(exist_ok=True)
    with chromium() as browser:
        pages = {}
        for name, (place, settings) in PICTURES.items():
            pages[name] = browser.new_context(**settings).new_page()
            pages[name].goto(f"{url}/{place}")
        pages["page"].wait_for_timeout(FILL_MS)
        for name, page in pages.items():
            path = DOCS / f"{name}.png"
            page.screenshot(path=path)
            subprocess.run([quant, "--force", "--strip", "--ext", ".png", path], check=True)
            print(f"{path.relative_to(DOCS.parent)}  {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
