"""``%ai list``: providers, pulled models and aliases; for keys only whether the variable is set."""

from __future__ import annotations

import datetime as dt
import importlib.util
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ainb import keys
from ainb.engine import ENGINE
from ainb.errors import AinbError, ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.model_rules import family_of, thinking_tokens
from ainb.panels.formatting import UNKNOWN
from ainb.panels.markup import Column, Report, Table
from ainb.providers import local as local_models
from ainb.providers import plugins
from ainb.providers import pydantic_ai as pydantic_names
from ainb.providers.services import OWN_NAMES, SERVICES, SYNONYMS, Service, base_url_of
from ainb.suggestions import closest

if TYPE_CHECKING:
    from ainb.pricing import Prices
    from ainb.providers.lessons.learnt import Learnt

# Models of the price list that do not answer prompts with text, or are no longer sold to new users.
_NOT_CHAT = re.compile(
    r"image|audio|realtime|tts|whisper|transcribe|translate|embedding|moderation|search|davinci|babbage|^ada$|curie|instruct"
    r"|vision|^ft:|\.ft-|computer|live|3\.5|gpt-4(?![o.])|preview|:extended|research"
)
_SCHEMA_WORDS = {
    "json_schema": "the provider's structured output",
    "bounds_free": "the provider's structured output, without bounds",
    "loose": "JSON schema as given",
    "json_object": "JSON mode and a sentence in the prompt",
    "tool": "a tool",
}


def show_list(shell: NotebookShell, arguments: Arguments) -> Report:
    """Providers, pulled models and aliases; models and prices of one provider; the rules of one model."""
    config = shell.session().config
    service = arguments.words[0] if arguments.words else None
    if service is None:
        return Report(tables=[services_table(None), *local_table(), *aliases_table(config.aliases)])
    if _is_model(service, config.aliases):
        return Report(tables=model_tables(shell, service))
    tables = [services_table(service), *(local_table() if service == "local" else ())]
    provider = shell.session().provider(SYNONYMS.get(service, service))
    prices = shell.session().prices
    notes: list[str] = []
    names: list[str] = []
    if hasattr(provider, "list_models"):
        try:
            names = ENGINE.run(provider.list_models())
        except AinbError as error:
            notes.append(str(error))
    if not names:
        names = [name for name in prices.published_models(provider.name) if not _NOT_CHAT.search(name)]
        if names:
            notes.append("these models are from the published price list, not from the provider itself")
    return Report(notes, [*tables, *_models_table(prices, provider.name, names)])


def _is_model(word: str, aliases: Mapping[str, str]) -> bool:
    """Whether a word is the name of a model and not of a provider."""
    known = {*SERVICES, *SYNONYMS, *plugins.names()}
    if word in known:
        return False
    return (
        word in aliases
        or ":" in word
        or "/" in word
        or any(re.match(pattern, word) for pattern, _ in OWN_NAMES)
    )


def _models_table(prices: Prices, service: str, names: Sequence[str]) -> list[Table]:
    models = [(f"{service}:{name}", *prices.per_million(service, name)) for name in names]
    columns, caption = [Column("model", lambda model, _read, _written: model)], "Models"
    if any(read is not None for _, read, _ in models):
        columns.append(Column("in", lambda _model, read, _written: _usd(read), "number"))
        columns.append(Column("out", lambda _model, _read, written: _usd(written), "number"))
        caption = "Models, USD for a million tokens"
    return [Table.of(caption, models, columns)] if models else []


def _usd(value: Decimal | None) -> str:
    return UNKNOWN if value is None else f"{value.normalize():f}"


def model_tables(shell: NotebookShell, name: str) -> list[Table]:
    """Rules of a model's family, its price, and lessons from its refusals.

    Raises:
        ConfigError: The text is not the name of a model.
    """
    session = shell.session()
    service, model = session.find_model(name)
    family = family_of(service, model)
    if family.efforts is None:
        efforts = "not known; sent as typed"
    else:
        efforts = ", ".join(family.efforts) or "none: it has no effort levels"
    sampling = {"always": "taken", "never": "left out", "without_effort": "taken with effort none only"}
    room = thinking_tokens(service, model, {})
    read, written = (_usd(value) for value in session.prices.per_million(service, model))
    rows = [
        ("effort levels", efforts),
        ("temperature and top_p", sampling[family.sampling]),
        ("thinks by itself", f"yes, with room for {room:,} tokens" if room else "no"),
        ("reply schema by", _SCHEMA_WORDS[family.schema]),
        ("USD for a million tokens", f"{read} in, {written} out"),
    ]
    tables = [Table(caption=f"{service}:{model}", columns=("", "by its rules"), rows=rows)]
    learnt = [row for row in session.core.learnt() if row[1] == model]
    return [*tables, *learnt_tables(learnt)]


def learnt_tables(rows: Sequence[tuple[str, str, Learnt]]) -> list[Table]:
    """Parameters that models refused, as a table; [] without any."""
    columns = [
        Column("model", lambda _endpoint, model, _item: model),
        Column("parameter", lambda _endpoint, _model, item: _parameter(item.lesson.field)),
        Column("now", lambda _endpoint, _model, item: item.lesson.outcome),
        Column("since", lambda _endpoint, _model, item: _utc_date(item.at)),
        Column("endpoint", lambda endpoint, _model, _item: endpoint),
    ]
    return [Table.of("Learnt from refusals, kept for 30 days", rows, columns)] if rows else []


def _utc_date(unix: float) -> str:
    return f"{dt.datetime.fromtimestamp(unix, dt.UTC):%Y-%m-%d}"


def _parameter(name: str) -> str:
    return "schema" if name.startswith("schema:") else name


def services_table(name: str | None) -> Table:
    """Table of the providers with base URL and key variable.

    Args:
        name: One provider; None means all.

    Raises:
        ConfigError: There is no provider of that name.
    """
    wanted = SYNONYMS.get(name, name) if name else None
    others = plugins.packages()
    if wanted is not None and wanted not in SERVICES and wanted not in others:
        raise ConfigError(f"there is no provider {name!r}; {closest(wanted, [*SERVICES, *others])}")
    rows = [(service.name, _base_url(service), _key(service)) for service in SERVICES.values()]
    rows += [(other, f"package {package}", "see the package") for other, package in others.items()]
    rows = [row for row in rows if wanted in {None, row[0]}]
    return Table(caption="Providers", columns=("provider", "base URL", "key"), rows=rows)


def provider_names() -> list[str]:
    """Provider names: the built-in services, then those of plugins."""
    return [*SERVICES, *plugins.names()]


def model_prefixes() -> list[str]:
    """Prefixes of model names, for Tab: ``openai:``, and with pydantic-ai installed ``pydantic:google:``."""
    found = [f"{name}:" for name in provider_names()]
    if importlib.util.find_spec("pydantic_ai") is not None:
        found += [f"{pydantic_names.SERVICE}:{name}:" for name in pydantic_names.OFFERED]
    return found


def _base_url(service: Service) -> str:
    if service.protocol == "pydantic":
        return "pydantic:PROVIDER:MODEL, through pydantic-ai"
    url = base_url_of(service.base_url_variable or "") or service.base_url
    if url is None:
        return f"set {service.base_url_variable}" if service.base_url_variable else "on this machine"
    # A URL may carry a password or a token, and this table ends up in a saved notebook.
    return re.sub(r"^(\w+://)[^/?#]*@", r"\1", url).partition("?")[0]


def _key(service: Service) -> str:
    if service.protocol == "pydantic":
        return "the provider's own"
    if service.key_variable is None:
        return "none needed"
    place = keys.where(service.key_variable)
    if place is not None:
        return f"{service.key_variable} is set" + ("" if place == "environment" else f" ({place})")
    return f"{service.key_variable} is not set" if service.key_needed else "none needed"


def pulled_models() -> list[str]:
    """Names of the models on this machine."""
    return sorted(local_models.pulled())


def local_table() -> list[Table]:
    """The pulled models, if any, and models that can be pulled."""
    models = pulled_models()
    rows = [(f"local:{model}",) for model in models]
    here = [Table(caption="Models on this machine", columns=("model",), rows=rows)] if rows else []
    return [*here, _suggested_table()]


def _suggested_table() -> Table:
    """Models that can be pulled, with size, memory and suitable tasks."""
    columns = [
        Column("model", lambda item: item.title),
        Column("size", lambda item: local_models.size_text(item.size_bytes), "number"),
        Column("memory", lambda item: f"about {item.memory_bytes / 1e9:.1f} GB", "number"),
        Column("licence", lambda item: item.licence),
        Column("good for", lambda item: item.good_for),
        Column("to download it", lambda item: f"%ai pull {item.reference}"),
    ]
    return Table.of("Local models to begin with", ((item,) for item in local_models.SUGGESTED), columns)


def aliases_table(aliases: Mapping[str, str]) -> list[Table]:
    """The aliases as a table; an empty list without any."""
    rows = sorted(aliases.items())
    return [Table(caption="Aliases", columns=("alias", "model"), rows=rows)] if rows else []
