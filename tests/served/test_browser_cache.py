"""A real browser whose cache is asked for the same addresses by people of two tenants, one after the other."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.serving import serving
from service.settings.settings import Settings

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("CI_CHROMIUM"),
    reason="there is no Chromium here; install Debian's 'chromium', or set CI_CHROMIUM=1 to fail instead",
)
PAGE = """<!doctype html><pre id="seen"></pre><script>
(async () => {
  const seen = [];
  for (const name of ["acme", "globex", "acme", "globex"]) {
    const body = JSON.stringify({tenant: name + ".example", email: `owner@${name}.example`, password: "PASSWORD"});
    const headers = {"Content-Type": "application/json"};
    const {token} = await (await fetch("URL/v1/sessions", {method: "POST", body, headers})).json();
    const own = {headers: {Authorization: "Bearer " + token}};
    const tenant = await (await fetch("URL/v1/tenant", own)).json();
    const users = await (await fetch("URL/v1/users", own)).json();
    seen.push([name + ".example", tenant.domain, users.items[0].email.split("@")[1]]);
  }
  document.getElementById("seen").textContent = JSON.stringify(seen);
})();
</script>"""


@contextmanager
def page_at(directory: Path) -> Iterator[str]:
    """Serves the directory; answers its origin."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(directory))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


async def test_browser_shows_nobody_the_answers_of_another_tenant(
    settings: Settings, acme: NewTenant, globex: NewTenant, tmp_path: Path
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    with page_at(pages) as origin, serving(settings, tmp_path, CORS_ORIGINS=origin) as service:
        (pages / "page.html").write_text(PAGE.replace("PASSWORD", PASSWORD).replace("URL", service.url))
        done = subprocess.run(
            [
                str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}",
                "--virtual-time-budget=20000", "--dump-dom", f"{origin}/page.html",
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    shown = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout)
    assert shown is not None, done.stdout
    seen = json.loads(unescape(shown[1]) or "[]")
    assert len(seen) == 4, done.stderr
    assert all(asked == tenant == address for asked, tenant, address in seen), seen
