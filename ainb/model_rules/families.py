"""Rules by model family for accepted parameters. Pure data; a model without a rule accepts all.

Rules that the table lacks are learnt from refusals; see `ainb.providers.lessons.learnt`.

Source: OpenAI's and Anthropic's model and migration pages and pydantic-ai's profiles, as of November 2026.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SAMPLING = frozenset({
    "temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
})  # fmt: skip
CLAUDE_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
# Output tokens that thinking may take before the answer, by effort; sent on top of a default output limit.
THINKING_TOKENS: Mapping[str, int] = {
    "none": 0, "minimal": 2_048, "low": 4_096, "medium": 8_192, "high": 16_384,
    "xhigh": 32_768, "max": 49_152,
}  # fmt: skip

# Services whose model names contain the name of the model's maker.
_ROUTERS = frozenset({"openrouter", "pydantic"})

Sampling = Literal["always", "without_effort", "never"]
SchemaForm = Literal["json_schema", "loose", "bounds_free", "json_object", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Parameters that the models of one family accept.

    Attributes:
        efforts: Effort levels, lowest first; () means that the model has none, None that they are unknown.
        default_effort: Level of a request that names none; "none" means that the model then does not think.
        sampling: When sampling parameters are accepted; "without_effort" means only while the effort is
            "none".
        sampling_names: Names of the sampling parameters.
        one_of: Mutually exclusive parameters; only the first one given is sent.
        refused: Further parameters that are refused.
        renamed: Parameters that are sent under another name.
        tools_need: Effort that must be sent together with tools; None means any or none.
        thinking: Values of ``thinking.type`` that the model accepts (Anthropic); None means unknown.
        schema: Form in which a reply schema is requested.
    """

    efforts: tuple[str, ...] | None = None
    default_effort: str = "none"
    sampling: Sampling = "always"
    sampling_names: frozenset[str] = SAMPLING
    one_of: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()
    renamed: tuple[tuple[str, str], ...] = ()
    tools_need: str | None = None
    thinking: frozenset[str] | None = None
    schema: SchemaForm = "json_schema"

    def level(self, asked: str) -> str | None:
        """The level to send: as requested, else the nearest lower, else the lowest; None without levels."""
        if self.efforts is None:
            return asked
        if asked in self.efforts:
            return asked
        if asked not in LEVELS or self.efforts == ("none",):
            return None
        place = LEVELS.index(asked)
        lower = [level for level in self.efforts if LEVELS.index(level) < place]
        return lower[-1] if lower else next(iter(self.efforts), None)

    def effective(self, sent: str | None) -> str:
        """The effort that the model uses when `sent` is sent (None: no effort is sent)."""
        return sent or self.default_effort


UNKNOWN = Family()
_LOW_HIGH = ("low", "medium", "high")
_NONE_HIGH = ("none", *_LOW_HIGH)
_NONE_XHIGH = (*_NONE_HIGH, "xhigh")
_NONE_MAX = (*_NONE_XHIGH, "max")
_LOW_MAX = (*_LOW_HIGH, "xhigh", "max")
_PLAIN = Family(efforts=())


_reasoning = functools.partial(
    Family,
    default_effort="medium",
    sampling="never",
    renamed=(("max_tokens", "max_completion_tokens"),),
)
# Models that accept sampling parameters while the effort is "none".
_switchable = functools.partial(_reasoning, sampling="without_effort")


# The first match counts. A pattern matches at the start of a name, not before another digit: "gpt-5" does not
# match "gpt-50".
_OPENAI: tuple[tuple[str, Family], ...] = (
    (r"gpt-5-chat", _PLAIN),
    (r"gpt-5\.[1-3]-chat", _reasoning(efforts=("medium",))),
    (r"chat-latest", _reasoning(efforts=("medium",))),
    (r"o1-mini|o1-preview", _reasoning(efforts=())),
    (r"(o3|o4-mini)(?![0-9])", _reasoning(efforts=_LOW_HIGH, refused=frozenset({"stop"}))),
    (r"o[1-4](?![0-9])", _reasoning(efforts=_LOW_HIGH)),
    (r"gpt-5-pro", _reasoning(efforts=("high",), default_effort="high")),
    (r"gpt-[56](\.\d)?-pro", _reasoning(efforts=("medium", "high", "xhigh"))),
    (r"gpt-5(?![.0-9])", _reasoning(efforts=("minimal", *_LOW_HIGH))),
    (r"gpt-5\.1(?![0-9])", _switchable(efforts=_NONE_HIGH, default_effort="none")),
    (r"gpt-5\.[23](?![0-9])", _switchable(efforts=_NONE_XHIGH, default_effort="none")),
    (r"gpt-5\.4(?![0-9])", _switchable(efforts=_NONE_XHIGH, default_effort="none", tools_need="none")),
    (r"gpt-5\.5(?![0-9])", _switchable(efforts=_NONE_XHIGH, tools_need="none")),
    (r"gpt-5\.\d(?![0-9])", _switchable(efforts=_NONE_MAX, tools_need="none")),
    (r"gpt-6-astra|gpt-6\.1-sol", _reasoning(efforts=_LOW_MAX)),
    (r"gpt-6(\.\d)?(?![.0-9])", _switchable(efforts=_NONE_MAX, tools_need="none")),
    (r"gpt-(4o|4\.1|4\.5|4|3\.5)(?![0-9])|chatgpt-4o", _PLAIN),
)

_claude = functools.partial(Family, sampling="never", sampling_names=CLAUDE_SAMPLING)
_sampled = functools.partial(_claude, sampling="always", thinking=frozenset({"enabled", "disabled"}))
# Of temperature and top_p these models accept one alone.
_from_45 = functools.partial(_sampled, one_of=("temperature", "top_p"))
_OLD_CLAUDE = _sampled(efforts=(), schema="tool")
_ADAPTIVE = frozenset({"adaptive"})
_OPTIONAL = frozenset({"adaptive", "disabled"})
_ANTHROPIC: tuple[tuple[str, Family], ...] = (
    (r"claude-(\d|instant)", _OLD_CLAUDE),
    (r"claude-opus-4[-.]1(?!\d)", _from_45(efforts=())),
    (r"claude-(opus|sonnet)-4(?=$|-0|-2|-latest|@)", _OLD_CLAUDE),
    (r"claude-opus-4[-.]5(?!\d)", _from_45(efforts=_LOW_HIGH)),
    (r"claude-(haiku|sonnet)-4[-.]5(?!\d)", _from_45(efforts=())),
    (
        r"claude-(opus|sonnet)-4[-.]6(?!\d)",
        _from_45(efforts=(*_LOW_HIGH, "max"), thinking=frozenset({"adaptive", "enabled", "disabled"})),
    ),
    (r"claude-opus-4[-.][78](?!\d)", _claude(efforts=_LOW_MAX, thinking=_OPTIONAL)),
    (r"claude-haiku-5[-.]5(?!\d)", _claude(efforts=_LOW_MAX, default_effort="medium", thinking=_OPTIONAL)),
    (
        r"claude-sonnet-5[-.]5(?!\d)",
        _claude(efforts=_LOW_MAX, default_effort="high", thinking=frozenset({"adaptive", "between_tools"})),
    ),
    (r"claude-opus-5[-.]5(?!\d)", _claude(efforts=_LOW_MAX, default_effort="medium", thinking=_ADAPTIVE)),
    (r"claude-(fable|mythos)-5(?!\d)", _claude(efforts=_LOW_MAX, default_effort="high", thinking=_ADAPTIVE)),
    (r"claude-sonnet-5(?![-.]?\d)", _claude(efforts=_LOW_MAX, thinking=_OPTIONAL)),
    (r"claude-opus-5(?![-.]?\d)", _claude(efforts=_LOW_MAX, default_effort="high", thinking=_OPTIONAL)),
)
# Claude models newer than the table: structured output exists since 4.5, the rest is learnt. They are assumed
# to think.
_NEWER_CLAUDE = re.compile(r"claude-[a-z]+-(?:[5-9]|\d\d)(?![\d])")
_NEW_CLAUDE = Family(default_effort="high", sampling_names=CLAUDE_SAMPLING)
_UNKNOWN_CLAUDE = Family(sampling_names=CLAUDE_SAMPLING, schema="tool")

_gemini = functools.partial(Family, schema="bounds_free")
_OLD_LIMIT = (("max_completion_tokens", "max_tokens"),)
# Compatible services accept the usual parameters; only effort levels and the form of a schema differ.
_OTHERS: Mapping[str, tuple[tuple[str, Family], ...]] = {
    "groq": (
        (r"(openai/)?gpt-oss", Family(efforts=_LOW_HIGH, default_effort="medium")),
        (r"(qwen/)?qwen-?3", Family(efforts=("none",), schema="loose")),
        (r"", Family(schema="loose")),
    ),
    "deepseek": ((r"", Family(schema="json_object")),),
    "gemini": (
        (
            r"gemini-3\.8",
            _gemini(efforts=("minimal", *_LOW_HIGH), default_effort="medium", sampling="never"),
        ),
        (r"", _gemini(efforts=("none", "minimal", *_LOW_HIGH))),
    ),
    "mistral": ((r"", Family(renamed=(*_OLD_LIMIT, ("seed", "random_seed")))),),
    "openrouter": (
        (r"(?:x-ai/)?grok-4\.5", Family(efforts=_LOW_HIGH, renamed=_OLD_LIMIT)),
        (r"(?:x-ai/)?grok-4\.3", Family(efforts=_NONE_HIGH, renamed=_OLD_LIMIT)),
        (r"", Family(renamed=_OLD_LIMIT)),
    ),
    "local": ((r"", Family(schema="loose")),),
    "ollama": ((r"", Family(schema="loose")),),
    "lmstudio": ((r"", Family(schema="loose")),),
    "vllm": ((r"", Family(schema="loose")),),
}


@functools.lru_cache(maxsize=512)
def family_of(service: str, model: str) -> Family:
    """The rules for a model of a service; `UNKNOWN`, which accepts all parameters, if none match.

    Args:
        service: Service name, such as "openai"; Azure deployments are looked up as OpenAI models; "" infers
            the service from the model name.
        model: The service's own model name, a fine-tune's included.
    """
    name = model.strip().lower().removeprefix("ft:")
    service = service or ("anthropic" if name.startswith("claude") else "openai")
    if service in {"openai", "azure"}:
        # Gateways in place of OpenAI's own address put the maker in front of the name.
        return _first(_OPENAI, name.removeprefix("openai/").removeprefix("ft:")) or UNKNOWN
    if service == "anthropic":
        name = name.rpartition("/")[2].rpartition("anthropic.")[2]
        newer = _NEW_CLAUDE if _NEWER_CLAUDE.match(name) else _UNKNOWN_CLAUDE
        return _first(_ANTHROPIC, name) or newer
    return _first(_OTHERS.get(service, ()), name) or UNKNOWN


def thinking_tokens(service: str, model: str, parameters: Mapping[str, Any]) -> int:
    """Output tokens to add to a default output limit for thinking; 0 if the model does not think.

    Args:
        service: Service name.
        model: The service's own model name.
        parameters: Parameters of the request; a thinking budget takes precedence over an effort, and an
            effort over the model's default.
    """
    maker, mark, own = model.partition(":" if service == "pydantic" else "/")
    if service in _ROUTERS and mark and maker in {"openai", "anthropic"}:
        service, model = maker, own
    thinking = parameters.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    family = family_of(service, model)
    asked = asked_effort(parameters)
    if kind == "disabled" or (asked == "none" and "disabled" in (family.thinking or ())):
        return 0
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if isinstance(budget, int) and not isinstance(budget, bool) and budget > 0:
        return budget
    level = family.level(asked) if asked else None
    if level is None:
        level = "high" if kind in {"adaptive", "enabled"} else family.default_effort
    elif service == "anthropic" and family.default_effort == "none" and kind is None:
        return 0  # effort alone does not switch thinking on in these models
    return THINKING_TOKENS.get(level, THINKING_TOKENS["high"])


def asked_effort(parameters: Mapping[str, Any]) -> str | None:
    """The effort that a request names, under ainb's name or OpenAI's; None if it names none."""
    effort = parameters.get("effort") or parameters.get("reasoning_effort")
    return effort if isinstance(effort, str) else None


def _first(rules: tuple[tuple[str, Family], ...], name: str) -> Family | None:
    return next((family for pattern, family in rules if re.match(pattern, name)), None)
