"""Fixtures of the magics tests: a terminal shell in process and a real kernel, with scripted models."""

from __future__ import annotations

import queue
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from jupyter_client.manager import KernelManager

from ainb import session as sessions
from ainb.testing.faults import SCRIPTS
from tests.shells import fresh_shell

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

WAIT_SECONDS = 30


@pytest.fixture(autouse=True)
def no_session_is_left_over(monkeypatch, tmp_path):
    """Each test starts without session, scripts, pulled models and pyproject.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setenv("AINB_MODEL_DIR", str(tmp_path / "models"))
    sessions.use(None)
    yield
    sessions.use(None)
    SCRIPTS.clear()


@dataclass
class Cell:
    """Result, error and output of one cell."""

    result: object
    error: BaseException | None
    out: str
    err: str


@dataclass
class Terminal:
    """A terminal shell whose output is captured."""

    shell: InteractiveShell
    capsys: pytest.CaptureFixture[str]

    def run(self, cell: str) -> Cell:
        self.capsys.readouterr()
        done = self.shell.run_cell(cell, store_history=True)
        seen = self.capsys.readouterr()
        return Cell(done.result, done.error_in_exec or done.error_before_exec, seen.out, seen.err)


@pytest.fixture
def bare_shell():
    """A shell without the extension."""
    with fresh_shell() as shell:
        yield shell


@pytest.fixture
def terminal(bare_shell, capsys):
    """A shell with the extension loaded."""
    bare_shell.run_line_magic("load_ext", "ainb")
    return Terminal(bare_shell, capsys)


@dataclass
class Ran:
    """The messages that one cell of a kernel sent."""

    outputs: list[tuple[str, dict]]
    reply: dict
    shown: list[tuple[str, dict]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict]:
        return [content for found, content in self.outputs if found == kind]

    def text(self, name: str) -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)


class Kernel:
    """A real kernel with a client."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=WAIT_SECONDS)

    def start(self, code: str, *, watched: bool = False) -> str:
        return self.client.execute(code, allow_stdin=watched)

    def finish(self, request: str) -> Ran:
        outputs = []
        while True:
            message = self.client.get_iopub_msg(timeout=WAIT_SECONDS)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind not in {"status", "execute_input"}:
                outputs.append((kind, content))
        while True:
            reply = self.client.get_shell_msg(timeout=WAIT_SECONDS)
            if reply["parent_header"].get("msg_id") == request:
                return Ran(outputs, reply["content"])

    def run(self, code: str, *, watched: bool = False) -> Ran:
        return self.finish(self.start(code, watched=watched))

    def close(self) -> None:
        self.client.stop_channels()
        with suppress(queue.Empty):
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture(scope="module")
def fresh_kernel(tmp_path_factory):
    """A new kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("AINB_DISPLAY", "auto")
        patch.setenv("AINB_CACHE", "off")
        kernel = Kernel()
        yield kernel
        kernel.close()


@pytest.fixture
def kernel(fresh_kernel):
    """The kernel of the module, with the extension loaded again and its state reset."""
    fresh_kernel.run("%reset -f\n%reload_ext ainb\nimport os; os.environ.pop('AINB_DISPLAY', None)")
    return fresh_kernel
