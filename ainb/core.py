"""From what the person says of a call to a Call that has not started: model, provider, options, fallbacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ainb import providers
from ainb.config.values import read_models
from ainb.errors import ConfigError
from ainb.events import Notice
from ainb.messages import Alternative, Call, CallOptions, Request
from ainb.pipeline.answer.schema import read_schema
from ainb.prompts.messages import Prompt, read_prompt

if TYPE_CHECKING:
    from ainb.session import Session

Models = str | Sequence[str] | None


def make_call(
    session: Session,
    prompt: Prompt,
    *,
    model: str | None = None,
    system: str | None = None,
    api_base: str | None = None,
    api_key_name: str | None = None,
    schema: Any = None,
    **options: Any,
) -> Call:
    """Read what the person gave into a Call that has not started.

    Raises:
        ConfigError: Model, message or schema makes no sense.
        InvalidPromptError: The prompt is empty.
    """
    service, name = session.find_model(model)
    treatment = {key: options.pop(key) for key in session.treatments & options.keys()}
    treatment.setdefault("fallback", session.config.fallback)
    request = Request(
        provider=service,
        model=name,
        messages=read_prompt(prompt, system),
        parameters={key: value for key, value in options.items() if value is not None},
        api_base=api_base or session.config.api_base,
        api_key_name=api_key_name,
        schema=None if schema is None else read_schema(schema),
    )
    return Call(request=request, provider=session.provider(service), options=session.call_options(treatment))


def call_options(session: Session, treatment: dict[str, Any]) -> CallOptions:
    """Options of a call, with the place it comes from unless that is given."""
    if treatment.get("fallback"):
        models = read_fallback(treatment["fallback"])
        treatment["fallback"] = tuple(_alternative(session, name) for name in models)
    if "notebook" not in treatment:
        notebook, cell_id = session.runtime.origin()
        treatment = {"notebook": notebook, "cell_id": cell_id, **treatment}
    return CallOptions(**treatment)


def find_model(session: Session, model: str | None = None) -> tuple[str, str]:
    """Service and model name of `model`, of the session's model, or of the embedded one where it is ready.

    Raises:
        ConfigError: Nothing is configured (the message lists the ways to choose), or the name makes no sense.
    """
    name = model or session.config.model or _recorded_model(session) or providers.embedded_model()
    if name is None:
        raise ConfigError(providers.ways_to_choose())
    return providers.split_model(name, session.config.aliases)


def read_fallback(value: Models) -> tuple[str, ...]:
    """Names of models to fall back on.

    Raises:
        ConfigError: It is neither a list nor a text.
    """
    try:
        return read_models(value)
    except ValueError as error:
        raise ConfigError(f"fallback takes {error}; it is {value!r}") from None


def warn_of_key(session: Session, name: str) -> None:
    """Say once, and now and not in the outage, that a fallback's key is missing; a name that makes no sense fails the call."""
    try:
        missing = providers.missing_key(*providers.split_model(name, session.config.aliases))
    except ConfigError:
        return
    if missing is None or name in session.warned or _replays(session):
        return
    session.warned.add(name)
    text = f"the fallback {name} cannot be asked: {missing} is not set; set it in the environment"
    session.runtime.sink(Notice(text, "fallback"))


def _alternative(session: Session, name: str) -> Alternative:
    """A model to fall back on."""
    service, model = providers.split_model(name, session.config.aliases)
    warn_of_key(session, name)
    return Alternative(session.provider(service), model)


def _recorded_model(session: Session) -> str | None:
    """In replay the model that the cassette knows, so that a notebook that names none needs no setting here."""
    replay = session.replay_stage
    return replay.library.usual_model() if replay is not None and _replays(session) else None


def _replays(session: Session) -> bool:
    return session.replay_stage is not None and session.replay_stage.mode == "replay"
