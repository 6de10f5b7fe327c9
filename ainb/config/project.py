"""Rules for the options that a project's pyproject.toml may set: one rule per option.

A project that was only cloned must not decide where prompts, replies and keys are sent, which files are read
or written, or which program runs. Such an option is accepted if its value stays on this machine and inside
the project, or if the user trusts the folder (see `ainb.config.trust`). An option without a rule here needs
trust.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from ainb.config.trust import VARIABLE, find_pyproject, is_trusted
from ainb.errors import ConfigError

# Returns the reason why a value from this folder's pyproject.toml needs trust; None if it needs none.
Rule = Callable[[Any, Path], str | None]


def free(_value: Any, _folder: Path) -> None:
    """Rule of options that need no trust: they name no server, file, program or credential."""


def trusted_only(value: Any, _folder: Path) -> str | None:
    """Rule of options that need trust for any value, except a false or empty one."""
    return "which only you may set, not a project" if value else None


def local_url(value: Any, _folder: Path) -> str | None:
    """Rule of base URLs: one on this machine needs no trust."""
    from ainb.providers.http import is_local_url

    return None if not value or is_local_url(value) else f"which sends your prompts and keys to {value}"


def local_state(value: Any, _folder: Path) -> str | None:
    """Rule of Redis URLs: one on this machine, without options that name files, needs no trust."""
    if value is None:
        return None
    from ainb.providers.http import is_local_url

    # redis-py reads certificates, keys and more from the query of a URL.
    if is_local_url(value.url) and not parse_qs(urlsplit(value.url).query, keep_blank_values=True):
        return None
    return f"which sends replies and the password of state to {value.place}"


def inside(value: Any, folder: Path) -> str | None:
    """Rule of model names: a known service or a model file inside the project needs no trust."""
    names = [value] if isinstance(value, str) else value or ()
    return next((reason for name in names if (reason := _trust_reason(name.strip(), folder))), None)


def aliases_inside(value: Any, folder: Path) -> str | None:
    """Rule of aliases: as for model names.

    An alias must not replace a full model name, which would redirect its calls unnoticed.
    """
    for name in value:
        if set(name) & set(":/"):
            return f"in which {name!r} means another model than it names"
    return inside(value.values(), folder)


def longer_log(name: str) -> Rule:
    """Rule of a limit of the usage log: a lower one than the default deletes rows of the user.

    Args:
        name: Field of the log's options.
    """

    def rule(value: Any, _folder: Path) -> str | None:
        from ainb.usage.log import Log

        if isinstance(value, int | float) and value < getattr(Log(), name):
            return "which deletes calls of other projects from your usage log"
        return None

    return rule


def _free(section: str, *names: str) -> dict[str, Rule]:
    return {section: free, **{f"{section}.{name}": free for name in names}}


_RATES = (
    "requests_per_minute", "tokens_per_minute", "input_tokens_per_minute", "output_tokens_per_minute",
    "concurrency", "strict", "on_full",
)  # fmt: skip
RULES: Final[Mapping[str, Rule]] = {
    "model": inside,
    "api_base": local_url,
    "fallback": inside,
    "allow_insecure_http": trusted_only,
    "headers": trusted_only,
    "env_file": trusted_only,
    "home": trusted_only,
    "batch_poll_seconds": free,
    "chat_tokens": free,
    "display": free,
    "state": local_state,
    "aliases": aliases_inside,
    "prices": free,
    "log_content": free,
    # Spans go to the exporter that the user's own program has set up.
    "otel": free,
    "otel_content": trusted_only,
    "replay": free,
    "footer": free,
    "confirm_above_usd": free,
    **_free("log", "content"),
    "log.max_rows": longer_log("max_rows"),
    "log.max_age_days": longer_log("max_age_days"),
    **_free("validation", "preset", "actions", "personal_data", "put_back", "injection", "context"),
    "validation.rules": trusted_only,
    **_free("deadline", "timeout_seconds", "attempt_seconds"),
    **_free("cache", "ttl_seconds", "where", "memory_bytes"),
    **_free("budget", "usd", "per", "hard", "warn_at"),
    **_free(
        "retry", "attempts", "base_seconds", "max_seconds", "multiplier", "jitter", "max_retry_after_seconds"
    ),
    "retry.retry_on": trusted_only,
    **_free("rate_limit", *_RATES),
    **_free("user_rate_limit", *_RATES),
    **_free("local", "slots", "context_tokens", "threads", "start_seconds"),
    **_free(
        "circuit",
        "failure_rate",
        "minimum_calls",
        "window_seconds",
        "open_seconds",
        "max_open_seconds",
        "probes",
    ),
    "circuit.failure_on": trusted_only,
}
# Tables, which cannot be set by an environment variable.
WITHOUT_VARIABLE = frozenset({"aliases", "headers", "prices"})
_SECTIONS = {name.partition(".")[0] for name in RULES if "." in name}


def refused(values: Mapping[str, Any], table: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """The options of a project's file that need trust.

    Args:
        values: Parsed options by name.
        table: ``[tool.ainb]`` of the file, which names the options inside a stage's table.
        folder: The folder of the file.

    Returns:
        Reason by name of an option, such as ``"state"`` or ``"local.slots"``.
    """
    reasons = {name: RULES.get(name, trusted_only)(value, folder) for name, value in values.items()}
    for name, inner in table.items():
        if isinstance(inner, Mapping) and name in _SECTIONS:
            for part, value in inner.items():
                reasons[f"{name}.{part}"] = RULES.get(f"{name}.{part}", trusted_only)(value, folder)
    return {name: reason for name, reason in reasons.items() if reason is not None}


def stays_inside(path: Path) -> bool:
    """Whether a file beside a notebook may be used.

    It may if its real path lies in the notebook's project, or if the project is trusted.
    """
    base = Path(os.path.realpath(path.parent))
    found = find_pyproject(base)
    root = base if found is None else found.parent
    return Path(os.path.realpath(path)).is_relative_to(root) or is_trusted(root, os.environ)


def refusal(name: str, reason: str, folder: Path) -> ConfigError:
    """The error of an option that needs trust in a folder that is not trusted."""
    option = name.partition(".")[0]
    if reason.startswith("which sends your prompts"):
        place = reason.removeprefix("which sends your prompts and keys to ")
        return ConfigError(
            f"pyproject.toml sends your prompts and keys to {place}; if you trust this project type %ai "
            f"trust, or set "
            f"{VARIABLE}={folder} or AINB_{option.upper()}={place}; else set AINB_{option.upper()} to an "
            "empty value"
        )
    variable = "" if option in WITHOUT_VARIABLE else f"AINB_{option.upper()} (empty for none) or "
    return ConfigError(
        f"pyproject.toml sets {name}, {reason}; if you trust this project type %ai trust or set "
        f"{VARIABLE}={folder}; "
        f"else set {variable}%config Ainb.{option}"
    )


def _trust_reason(name: str, folder: Path) -> str | None:
    """Reason why a model name needs trust: a URL, a path out of the project, or a plugin's service."""
    from ainb.providers import plugins
    from ainb.providers.services import SERVICES, SYNONYMS

    if "://" in name:
        return f"which contains a base URL ({name})"
    at = min((place for mark in ":/" if (place := name.find(mark)) > 0), default=len(name))
    service, model = SYNONYMS.get(name[:at], name[:at]), name[at + 1 :].strip()
    if service == "local" and not _is_inside(model, folder):
        return f"which names a file outside of the project ({name})"
    if service not in SERVICES and model and service in plugins.names():
        return f"which runs the adapter of another package ({service})"
    return None


def _is_inside(model: str, folder: Path) -> bool:
    """Whether a local model is a plain name, or a file whose real path is inside the folder."""
    if model.startswith("\\\\"):  # a network share, to which Windows would log in
        return False
    place = Path(os.path.realpath(os.path.expanduser(model)))  # noqa: PTH111 - an unknown ~user stays as it is
    if place.is_relative_to(os.path.realpath(folder)):
        # If there is no such file, the name is looked up in the folder of pulled models and must not lead out
        # of it.
        return place.exists() or ".." not in Path(model).parts
    return Path(model).name == model and not set(model) & set("\\:~") and not os.path.lexists(model)
