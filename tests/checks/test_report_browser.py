"""The report in a real browser, on a desk and on a phone: it searches, it says nothing in the console, it asks for nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from arranging.reviewing import reported
from service.checks.review.report import page
from service.embedded.server import Server

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("CI_CHROMIUM"),
    reason="there is no Chromium here; install Debian's 'chromium', or set CI_CHROMIUM=1 to fail instead",
)

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
MEASURED = """
<script>
addEventListener("load", () => setTimeout(() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  for (const each of document.querySelectorAll("article")) each.style.contentVisibility = "visible";
  const out = [...document.querySelectorAll("main *, #bar *")].filter((each) =>
    each.getClientRects().length && each.getBoundingClientRect().right > innerWidth + 1 && !each.closest("pre, .box"));
  parent.postMessage({
    inner: innerWidth,
    scrolls: document.documentElement.scrollWidth,
    out: out.slice(0, 5).map((each) => `${each.tagName} ${each.className} ${each.textContent.slice(0, 40)}`),
    requests: performance.getEntriesByType("resource").map((each) => each.name),
  }, "*");
}, 50));
</script></body>
"""
# In a frame, because a window of the browser has a least width, and it is more than a phone's.
FRAME = """<!doctype html>
<body style="margin: 0"><iframe src="measured.html" style="width: WIDTHpx; height: 900px; border: 0"></iframe>
<script>addEventListener("message", (event) => { document.body.append(JSON.stringify(event.data)); });</script></body>
"""


@dataclass
class Browser:
    """Opens the report at a hash, and answers the page as it is when its scripts have run."""

    directory: Path

    def open(self, hash: str = "", *, page: str = "report.html") -> str:
        profile = self.directory / "profile"
        shutil.rmtree(profile, ignore_errors=True)
        done = subprocess.run(
            [
                str(BROWSER), *QUIET, f"--user-data-dir={profile}", "--window-size=1400,900", "--virtual-time-budget=5000",
                "--dump-dom", f"file://{self.directory / page}{hash}",
            ],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
async def browser(server: Server, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    directory = tmp_path_factory.mktemp("report")
    html = page(
        await reported(server, ("campaigns", "influencers", "campaign_influencers", "sessions", "log", "tenants"))
    )
    (directory / "report.html").write_text(html, encoding="utf-8")
    (directory / "measured.html").write_text(html.replace("</body>", MEASURED), encoding="utf-8")
    return Browser(directory)


def shown(dom: str) -> set[str]:
    """The statements that are to be seen."""
    articles = re.findall(r"<article ([^>]*)>", dom)
    return {each.partition('id="')[2].partition('"')[0] for each in articles if not re.search(r"\bhidden\b", each)}


def unfolded(dom: str) -> set[str]:
    """The entries of overviews that are open."""
    found = re.findall(r"<details ([^>]*)>", dom)
    return {
        each.partition('id="')[2].partition('"')[0]
        for each in found
        if "data-entry" in each and re.search(r'\bopen=""', each)
    }


def test_all_statements_are_there_before_a_search(browser: Browser) -> None:
    dom = browser.open()
    assert len(shown(dom)) == dom.count("<article ") > 40
    assert unfolded(dom) == set()


def test_a_table_shows_the_statements_that_use_it_and_unfolds_its_indexes(browser: Browser) -> None:
    dom = browser.open("#q=influencers")
    assert {"influencers.page", "campaign_influencers.page", "campaign_influencers.put"} <= shown(dom)
    assert not {"campaigns.page", "sessions.find", "campaign_influencers.remove"} & shown(dom)
    assert unfolded(dom) == {"table:influencers", "repository:Influencers"}
    assert re.search(rf'id="count"[^>]*>{len(shown(dom))} of \d+<', dom)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("writes:campaigns", {
            "campaigns.create", "campaigns.update", "campaigns.remove", "campaigns.restore", "campaigns.erase",
        }),
        ("index:campaigns_brand_id_created_at_idx", {"campaigns.page"}),
        ("GET%20%2Fv1%2Fcampaigns", {"campaigns.page", "sessions.authenticate", "log.place"}),
        ("campaigns.find", {"campaigns.find"}),
        ("live+campaign+contents+statement+newest", {"campaigns.find_with_contents"}),
        ("function:app.find_tenant", {"tenants.find_by_domain"}),
        ("no-such-thing", set()),
    ],
)  # fmt: skip
def test_what_a_search_finds(browser: Browser, query: str, found: set[str]) -> None:
    assert shown(browser.open(f"#q={query}")) == found


def test_a_parameter_is_found_in_any_case(browser: Browser) -> None:
    assert {"campaigns.page", "campaigns.create"} <= shown(browser.open("#q=BRAND_ID"))


def test_a_statements_address_leads_to_it(browser: Browser) -> None:
    assert len(shown(browser.open("#campaigns.page"))) > 40


def test_an_entrys_address_unfolds_it(browser: Browser) -> None:
    assert unfolded(browser.open("#table:influencers")) == {"table:influencers"}


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_scrolls_sideways_but_sql_and_plans(browser: Browser, width: int) -> None:
    (browser.directory / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    told = json.loads(unescape(re.findall(r"\{.*\}", browser.open(page="frame.html").rpartition("</script>")[2])[0]))
    assert told == {"inner": width, "scrolls": width, "out": [], "requests": []}
