"""Debian's Chromium, driven through chromedriver: what tests of pages open, click and look at.

with Chromium() as browser:
    browser.open(url, width=360, dark=True)
    assert browser.complaints() == []

It reaches nothing but this machine, keeps nothing, and is one window that tests use one after the other.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import which
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM, DRIVER = which("chromium"), which("chromedriver")
WHY_NOT = "" if CHROMIUM and DRIVER else "Chromium is not installed (apt-get install chromium chromium-driver)"
PATIENCE = 60  # seconds for a page on a machine that does other things besides

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, in a container that lacks what the sandbox needs
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
# Before any script of a page: whatever gets to run in it, calls one of these or sets the mark itself.
_CANARY = "window.__ran = []; for (const n of ['alert', 'confirm', 'prompt', 'print']) window[n] = x => __ran.push(n);"


class Chromium:
    """One window of a headless browser."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM or ""
        for flag in _FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.driver.set_page_load_timeout(PATIENCE)
        self.driver.set_script_timeout(PATIENCE)
        self._tell("Page.addScriptToEvaluateOnNewDocument", source=_CANARY)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(Exception):  # it may have died; the test says so better than its end
            self.driver.quit()

    def open(self, url: str, width: int = 1280, dark: bool = False, blocked: Sequence[str] = ()) -> None:
        """Go there, as a phone where it is narrow. `blocked` are patterns of addresses that are not to be fetched."""
        narrow = width < 600
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=780 if narrow else 900,
            deviceScaleFactor=1,
            mobile=narrow,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", features=[scheme])
        self._tell("Network.enable")
        self._tell("Network.setBlockedURLs", urls=list(blocked))
        self.driver.get_log("browser")
        self.driver.get(url)

    def click(self, selector: str) -> None:
        """Follow the first link that the CSS selector names, and wait until its page is loaded."""
        self._go(self.driver.find_element(By.CSS_SELECTOR, selector).click)

    def fill(self, selector: str, words: str) -> None:
        """Write into the first field that the CSS selector names, send its form, and wait for the answer."""
        self._go(lambda: self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(words, Keys.ENTER))

    def _go(self, act: Callable[[], object]) -> None:
        before = self.driver.current_url
        act()
        wait = WebDriverWait(self.driver, PATIENCE)
        wait.until(lambda driver: driver.current_url != before)
        wait.until(lambda driver: driver.execute_script("return document.readyState") == "complete")

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns; a promise is waited for."""
        return self.driver.execute_script(script, *arguments)

    @property
    def path(self) -> str:
        """Where it is, without scheme and host."""
        return str(self.run("return location.pathname + location.search + location.hash"))

    @property
    def heading(self) -> str:
        return str(self.run("return document.querySelector('h1').innerText.trim()"))

    def complaints(self) -> list[str]:
        """What its console said since the page was opened: violations of the policy, scripts' errors, what of ours
        could not be fetched. Pictures on other hosts are not there to be fetched."""
        said = self.driver.get_log("browser")
        ours = str(self.run("return location.origin"))
        return [line["message"] for line in said if line["source"] != "network" or line["message"].startswith(ours)]

    def ran(self) -> list[str]:
        """What anything in the page called that nothing in it may."""
        return list(self.run("return window.__ran"))

    def violations(self, axe: str) -> list[str]:
        """What axe-core finds wrong: rule and element, one a line."""
        self.run(axe)
        found = self.run("return axe.run(document, {preload: false, resultTypes: ['violations']})")["violations"]
        nodes = [(rule["id"], node) for rule in found for node in rule["nodes"]]
        return [f"{rule}: {node['html'][:200]} {node['failureSummary']}" for rule, node in nodes]

    def _tell(self, command: str, **arguments: Any) -> None:
        self.driver.execute_cdp_cmd(command, arguments)


def axe_source() -> str:
    """axe-core, as the package carries it, or another version of it in $BMN_AXE."""
    if given := os.environ.get("BMN_AXE"):
        return Path(given).read_text()
    spec = importlib.util.find_spec("axe_core_python")
    assert spec is not None, "axe-core-python is not installed (pip install -e '.[dev]')"
    assert spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text()
