"""Names of request parameters, so that a misspelt option is an error and not a field that a provider ignores.

Sources: OpenAI's chat completions (2026-10), Anthropic's messages API, llama.cpp's server, vLLM, OpenRouter,
and pydantic-ai's `ModelSettings`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ainb.errors import ConfigError
from ainb.providers.services import SERVICES
from ainb.suggestions import closest

PARAMETERS = frozenset({
    # ours
    "effort", "extra_body", "extra_headers",
    # OpenAI
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "metadata", "modalities", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
    # Anthropic
    "cache_control", "container", "context_management", "mcp_servers", "output_config", "output_format",
    "stop_sequences", "thinking", "top_k", "betas",
    # llama.cpp, Ollama, vLLM, OpenRouter and others
    "best_of", "cache_prompt", "chat_template", "chat_template_kwargs", "dry_allowed_length", "dry_base",
    "dry_multiplier", "dynatemp_range", "exclude_reasoning", "format", "grammar", "guided_choice",
    "guided_grammar", "guided_json", "guided_regex", "id_slot", "ignore_eos", "include_reasoning",
    "include_stop_str_in_output", "json_schema", "keep_alive", "length_penalty", "min_p", "min_tokens",
    "mirostat", "mirostat_eta", "mirostat_tau", "models", "n_predict", "num_ctx", "num_predict", "options",
    "plugins", "prompt_mode", "provider", "random_seed", "reasoning_format", "repeat_last_n",
    "repeat_penalty", "repetition_penalty", "route", "safe_prompt", "samplers", "skip_special_tokens",
    "stop_token_ids", "think", "top_a", "top_n_sigma", "tfs_z", "transforms", "truncate_prompt_tokens",
    "typical_p", "use_beam_search", "xtc_probability", "xtc_threshold", "enable_thinking",
    # Gemini and pydantic-ai
    "response_mime_type", "response_schema", "safety_settings", "thinking_config", "timeout",
    "guardrail_config",
})  # fmt: skip
# Prefixes of pydantic-ai's settings for a single provider.
_OF_ONE_PROVIDER = re.compile(
    r"(?:openai|anthropic|google|groq|mistral|cohere|bedrock|huggingface|xai|openrouter|cerebras|gateway)_\w+"
)


def check_parameters(given: Iterable[str], *, service: str, options: Collection[str]) -> None:
    """Check that names which are not options are parameters of some protocol.

    Args:
        given: Names that are not options.
        service: Service of the request; a service of another package may have other parameters.
        options: Names of the options, for the suggestion.

    Raises:
        ConfigError: A name is unknown; the message suggests a similar one.
    """
    for name in given:
        if name in PARAMETERS or _OF_ONE_PROVIDER.fullmatch(name):
            continue
        hint = closest(name, {*PARAMETERS, *options})
        is_near = hint.startswith("did you mean")
        if is_near or service in SERVICES:
            others = f"{hint} Other parameters" if is_near else "other parameters of the provider"
            raise ConfigError(f"{name!r} is not an option; {others} go in extra_body={{{name!r}: …}}")
