"""The live page: one HTML file and hashed assets, built from ``reconciler/web`` into ``reconciler/web/dist``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

DIST = Path(str(files("reconciler") / "web" / "dist"))
FOR_A_YEAR = "public, max-age=31536000, immutable"
"""An asset's name holds the hash of its content: another content has another name."""

NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>daq</title>
<h1>The live page is not built</h1>
<p>In a checkout, <code>make page</code> builds it; wheels carry it. Nothing else is amiss:
<a href="/api/processes">/api/processes</a> and <code>daq status</code> tell the same.</p>
</html>
"""


def page_routes(dist: Path = DIST) -> list[BaseRoute]:
    """``/`` and ``/assets/NAME``; looked for at each request, so that a build shows without a restart."""

    async def index(_: Request) -> Response:
        html = dist / "index.html"
        if not html.is_file():
            return HTMLResponse(NOT_BUILT)
        return FileResponse(html, headers={"Cache-Control": "no-cache"})

    async def asset(request: Request) -> Response:
        path = dist / "assets" / request.path_params["name"]  # a single name: the route lets no slash pass
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers={"Cache-Control": FOR_A_YEAR})

    return [Route("/", index), Route("/assets/{name}", asset)]
