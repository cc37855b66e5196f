"""Opens a report in Chromium, uses it as a person would, and prints what it was like, as JSON.

Run by the Python that FETCHQ_BROWSER names, which has playwright and axe (`scripts/setup browser`). The arguments are
the paths of Chromium and of the page; with a third one, axe looks for what some people cannot use.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

QUIET = [
    "--no-sandbox",  # containers have no user namespaces
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
VIEWS = [("light", 1280), ("dark", 1280), ("light", 390)]
GRAVE = ("serious", "critical")
WINDOW = (
    "charts.filter((one) => one.group).map((one) => one.chart.getOption().dataZoom[0]).map((z) => [z.start, z.end])"
)


def main(chromium: str, path: str, axe: str = "") -> None:
    found: dict[str, Any] = {"problems": [], "requests": [], "faults": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        for scheme, width in VIEWS:
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
            page = context.new_page()
            page.on("console", lambda message: found["problems"].append(message.text))
            page.on("pageerror", lambda error: found["problems"].append(str(error)))
            page.on("dialog", lambda dialog: (found["problems"].append(dialog.message), dialog.dismiss()))
            page.on("request", lambda request: found["requests"].append(request.url))
            began = time.perf_counter()
            page.goto(Path(path).as_uri())
            found.setdefault("seconds", time.perf_counter() - began)
            page.evaluate("document.querySelector('details').open = true")
            for fault in Axe().run(page).response["violations"] if axe else []:
                if fault["impact"] in GRAVE:
                    found["faults"].append([scheme, width, fault["id"], fault["nodes"][0]["html"]])
            found[f"{scheme} {width}"] = {
                "overflow": page.evaluate("document.documentElement.scrollWidth - innerWidth"),
                "drawn": drawn(page),
                "theme": page.evaluate("document.documentElement.dataset.theme"),
            }
            if (scheme, width) == VIEWS[0]:
                found["used"] = use(page)
            context.close()
        browser.close()
    print(json.dumps(found))


def drawn(page: Page) -> float:
    """The share of the timeline's pixels that have the colour of a phase."""
    return float(
        page.evaluate(
            """() => {
              const canvas = document.querySelector('[aria-label^="What each worker did"] canvas');
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              const wanted = [1, 3, 5].map((at) => parseInt(cssColour("c-wait").slice(at, at + 2), 16));
              let found = 0;
              for (let at = 0; at < data.length; at += 4) {
                found += wanted.every((value, number) => Math.abs(data[at + number] - value) < 8);
              }
              return found / (data.length / 4);
            }"""
        )
    )


def use(page: Page) -> dict[str, Any]:
    """Zoom, point, search, sort, turn pages and switch the theme."""
    used: dict[str, Any] = {"scripts": page.evaluate("document.scripts.length"), "zoom": [page.evaluate(WINDOW)]}
    used["odd"] = page.evaluate("document.querySelectorAll('main :is(img, svg, b, iframe, style, script)').length")
    used["hacked"] = page.evaluate("typeof hacked")
    for title in ("Zoom in", "Later", "Show the whole run"):
        page.get_by_role("button", name=title).click()
        used["zoom"].append(page.evaluate(WINDOW))
    place = page.get_by_role("img", name="What each worker did")
    box = place.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 84, box["y"] + 16)
    used["tip"] = place.locator(".tip").inner_text()

    table = page.locator(".block", has=page.locator("h3", has_text="URLs")).last
    status, first = table.get_by_role("status"), table.locator("tbody tr").first
    used["all"] = status.inner_text()
    table.get_by_role("button", name="Next").click()
    used["second page"] = status.inner_text()
    table.get_by_role("button", name="Time").click()
    used["slowest"] = first.inner_text()
    table.get_by_role("searchbox").fill("HACKED")
    used["found"] = [status.inner_text(), first.inner_text()]
    table.get_by_role("searchbox").fill("nowhere to be found")
    used["not found"] = status.inner_text()

    page.get_by_role("button", name="Switch to the dark theme").click()
    used["theme"] = page.evaluate("[document.documentElement.dataset.theme, getComputedStyle(document.body).color]")
    used["pdf"] = len(page.pdf())
    return used


main(*sys.argv[1:])
