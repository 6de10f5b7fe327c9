"""JupyterLab in a real browser, for browser tests and the pictures of the README."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.python_path import python_path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
# Long enough for a machine under load.
START_SECONDS = 180
WAIT_MS = 90_000
CHROMIUM_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
LIGHT = "JupyterLab Light"
OUTPUTS = ".jp-OutputArea-output"
# The toolbar shows idle before the kernel has connected, and cells that are run then are lost; the state of
# the session is reliable.
IS_READY = """() => {
  const context = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  const kernel = context?.session?.kernel;
  return context?.isReady && kernel?.connectionStatus === 'connected' && kernel?.status === 'idle';
}"""


def missing() -> str | None:
    """Missing requirements of the browser tests as one text, or None."""
    if shutil.which("chromium") is None:
        return "chromium is not on PATH"
    names = ("playwright", "jupyterlab", "axe_playwright_python")
    lacking = [name for name in names if importlib.util.find_spec(name) is None]
    return f"{', '.join(lacking)} is not installed" if lacking else None


class Lab:
    """JupyterLab on loopback, with all folders of Jupyter below a temporary one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self.home = root / "home"
        self.work.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (root / "lab.log").open("w")
        self._process = self._start()

    def _start(self) -> subprocess.Popen:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
            "AINB_HOME": "home",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AINB_")}
        environment = {
            **kept,
            **{name: str(self.root / folder) for name, folder in folders.items()},
            "PYTHONPATH": python_path(),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        self._set("apputils-extension", "notification", quiet)
        # Keep cells outside the viewport on the page.
        self._set("notebook-extension", "tracker", {"windowingMode": "none"})
        command = [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"),
            *("--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"),
            *(f"--ServerApp.root_dir={self.work}", "--LabApp.expose_app_in_browser=True"),
            *("--LabApp.extension_manager=readonly", "--LabApp.news_url="),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self.work,
            start_new_session=True,
        )
        try:
            self._wait_until_up(process)
        except BaseException:
            process.kill()
            process.wait(5)
            raise
        return process

    def _set(self, extension: str, plugin: str, settings: dict) -> None:
        folder = self.root / "settings" / "@jupyterlab" / extension
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{plugin}.jupyterlab-settings").write_text(json.dumps(settings))

    def _wait_until_up(self, process: subprocess.Popen) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/api/status", timeout=1).read()  # noqa: S310 - loopback
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError(f"JupyterLab did not start: {(self.root / 'lab.log').read_text()[-2000:]}")

    def write(self, name: str, cells: list[str]) -> Path:
        """Write a notebook into the folder of the server."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = new_notebook(
            cells=[new_code_cell(source) for source in cells], metadata={"kernelspec": kernel}
        )
        nbformat.write(notebook, self.work / name)
        return self.work / name

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5)
        self._log.close()


class Page:
    """A browser page with a notebook."""

    def __init__(self, page, lab: Lab) -> None:
        self.page = page
        self.lab = lab
        self.name = ""
        page.set_default_timeout(WAIT_MS)

    def open(self, name: str, cells: list[str]) -> None:
        """Write a notebook, open it and wait for its kernel."""
        self.name = name
        self.lab.write(name, cells)
        self.visit()

    def visit(self) -> None:
        self.page.goto(f"{self.lab.url}/lab/tree/{self.name}?reset", wait_until="domcontentloaded")
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Notebook")
        self.page.wait_for_function(IS_READY)

    def command(self, name: str, **arguments) -> None:
        """Run a command of JupyterLab without waiting for its effects."""
        self.page.evaluate(
            "([name, args]) => { window.jupyterapp.commands.execute(name, args); }", [name, arguments]
        )

    def select(self, cell: int) -> None:
        self.page.evaluate(
            "index => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = index; }", cell
        )

    def start(self, cell: int) -> None:
        """Start a cell."""
        self.select(cell)
        self.command("notebook:run-cell")

    def run(self, cell: int) -> None:
        """Start a cell and wait until it has ended."""
        before = self.count(cell)
        self.start(cell)
        self.page.wait_for_function(
            "([index, before]) => {"
            "const cell = window.jupyterapp.shell.currentWidget.content.widgets[index].model;"
            " return cell.executionCount !== null && cell.executionCount !== before; }",
            arg=[cell, before],
        )
        self.page.wait_for_function(IS_READY)

    def count(self, cell: int):
        return self.page.evaluate(
            "index => window.jupyterapp.shell.currentWidget.content.widgets[index].model.executionCount", cell
        )

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=name)
        light = "true" if name == LIGHT else "false"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")

    def save(self):
        """Save the notebook and read the file."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.lab.work / self.name, as_version=4)

    def text(self) -> str:
        return self.page.locator(".jp-Notebook").inner_text()

    def text_of_cell(self, cell: int) -> str:
        return self.cell(cell).inner_text()

    def cell(self, cell: int):
        """The outputs of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-OutputArea").first

    def export(self) -> Path:
        """The saved notebook, exported as an HTML page."""
        notebook = self.lab.work / self.name
        command = [sys.executable, "-m", "nbconvert", "--to", "html", "--log-level", "ERROR", str(notebook)]
        subprocess.run(command, check=True, timeout=300, env={**os.environ, "PYTHONWARNINGS": "ignore"})
        return notebook.with_suffix(".html")

    def settle(self) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(IS_READY)

    def interrupt(self) -> None:
        self.page.evaluate(
            "() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt(); }"
        )

    def milliseconds_until(self, condition: str) -> float:
        """Wait for a condition; returns the time by the page's clock in milliseconds."""
        start = self.page.evaluate("() => performance.now()")
        self.page.wait_for_function(condition)
        return self.page.evaluate("() => performance.now()") - start

    def restart_kernel(self) -> None:
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        self.settle()

    def shot_of_cell(self, cell: int, name: str) -> None:
        """Save a screenshot of a cell's output."""
        BUILD.mkdir(exist_ok=True)
        output = self.cell(cell)
        self.select(cell)
        output.scroll_into_view_if_needed()
        output.screenshot(path=BUILD / f"{name}.png")

    def shot(self, name: str, selector: str | None = None) -> None:
        """Save a screenshot for manual review."""
        BUILD.mkdir(exist_ok=True)
        where = self.page if selector is None else self.page.locator(selector).last
        where.screenshot(path=BUILD / f"{name}.png")


@contextlib.contextmanager
def chromium():
    """Chromium from the PATH."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=CHROMIUM_ARGUMENTS,
            ignore_default_args=["--headless"],
        )
        try:
            yield browser
        finally:
            browser.close()


def violations(page, within: str = OUTPUTS) -> list[str]:
    """Critical or serious findings of axe-core in the outputs; the rest of the page is JupyterLab's own."""
    found = importlib.util.find_spec("axe_playwright_python")
    page.evaluate(Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate(f"() => axe.run({{include: [['{within}']]}}, {{resultTypes: ['violations']}})")
    assert result["passes"]
    return [
        f"{item['id']}: {node['html'][:200]} {node['failureSummary']}"
        for item in result["violations"]
        if item["impact"] in {"critical", "serious"}
        for node in item["nodes"]
    ]
