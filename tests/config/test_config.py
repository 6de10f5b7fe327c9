"""Tests of the configuration: precedence of sources, checks of values, limits of project files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ainb.config import OPTIONS, Config, load_config
from ainb.errors import ConfigError


@pytest.fixture
def project(tmp_path):
    def write(text):
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        inner = tmp_path / "notebooks" / "deep"
        inner.mkdir(parents=True)
        return inner

    return write


def test_first_found_wins_argument_config_magic_environment_pyproject(project):
    folder = project('[tool.ainb]\nmodel = "a:project"\n')
    places = {"environ": {"AINB_MODEL": "a:environment"}, "settings": {"model": "a:magic"}}

    assert load_config({"model": "a:argument"}, folder=folder, **places).model == "a:argument"
    assert load_config(folder=folder, **places).model == "a:magic"
    assert load_config(folder=folder, environ=places["environ"]).model == "a:environment"
    assert load_config(folder=folder, environ={}).model == "a:project"


def test_the_nearest_pyproject_counts_even_without_a_table_of_ours(project):
    folder = project('[tool.ainb]\nmodel = "a:outer"\n')
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")

    assert load_config(folder=folder, environ={}).model is None


def test_options_of_a_stage_come_from_a_table_or_from_single_variables(project):
    folder = project("[tool.ainb.deadline]\ntimeout_seconds = 5\n")

    assert load_config(folder=folder, environ={}).deadline.timeout_seconds == 5
    read = load_config(folder=folder, environ={"AINB_DEADLINE_ATTEMPT_SECONDS": "2.5"})
    assert read.deadline.attempt_seconds == 2.5


def test_a_stage_is_turned_off_by_false(project):
    assert load_config(folder=project("[tool.ainb]\ndeadline = false\n"), environ={}).deadline is None
    assert load_config(folder=Path("/"), environ={"AINB_DEADLINE": "off"}).deadline is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tool.ainb]\nmodle = "x"\n', "did you mean 'model'"),
        ("[tool.ainb]\nmodel = 3\n", "model takes a text; it is 3"),
        ("[tool.ainb.deadline]\ntimeout = 3\n", "did you mean 'timeout_seconds'"),
        ("[tool.ainb.deadline]\ntimeout_seconds = -3\n", "above 0"),
        ('[tool.ainb]\ndisplay = "loud"\n', "display takes one of auto"),
        ("[tool.ainb\n", "pyproject.toml cannot be read"),
    ],
)
def test_a_mistake_in_pyproject_is_one_line_with_the_way_out(project, text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(folder=project(text), environ={})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "3", True])
def test_a_time_limit_that_makes_no_sense_fails_on_construction(value):
    from ainb.pipeline.deadline.stage import Deadline

    with pytest.raises(ConfigError, match="timeout_seconds must be a number of seconds above 0"):
        Deadline(timeout_seconds=value)


def test_every_option_has_a_help_line():
    assert all(item.metadata["help"] for item in OPTIONS.values())


def test_the_tree_is_frozen():
    with pytest.raises(AttributeError):
        Config().model = "x"


def test_a_project_may_not_decide_where_prompts_and_keys_go(project):
    folder = project('[tool.ainb]\napi_base = "https://gateway.example.org/v1"\n')

    with pytest.raises(
        ConfigError, match=r"sends your prompts and keys to https://gateway\.example\.org/v1; if you trust"
    ):
        load_config(folder=folder, environ={})
    trusted = load_config(folder=folder, environ={"AINB_API_BASE": "https://gateway.example.org/v1"})
    assert trusted.api_base == "https://gateway.example.org/v1"
    assert load_config(folder=folder, environ={"AINB_API_BASE": ""}).api_base is None
    assert load_config(folder=folder, environ={}, settings={"api_base": None}).api_base is None
    assert (
        load_config({"api_base": "https://x.example.org"}, folder=folder, environ={}).api_base
        == "https://x.example.org"
    )


def test_a_project_may_name_a_server_on_this_machine(project):
    folder = project('[tool.ainb]\napi_base = "http://127.0.0.1:8000/v1"\n')

    assert load_config(folder=folder, environ={}).api_base == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize("line", ["allow_insecure_http = true", 'env_file = ".env"'])
def test_a_project_may_not_weaken_what_protects_keys(project, line):
    with pytest.raises(ConfigError, match=r"only you may set, not a project; .* set AINB_"):
        load_config(folder=project(f"[tool.ainb]\n{line}\n"), environ={})


def test_the_environment_may_weaken_the_protection_of_keys():
    environ = {"AINB_ALLOW_INSECURE_HTTP": "1", "AINB_ENV_FILE": "/x/.env"}

    read = load_config(folder=Path("/"), environ=environ)
    assert (read.allow_insecure_http, read.env_file) == (True, Path("/x/.env"))


def test_a_path_given_as_text_is_a_path():
    made = Config(home="~/x", env_file="y.env")

    assert (made.home, made.env_file) == (Path("~/x").expanduser(), Path("y.env"))
