"""Token estimates of calls: text length times the tokens per character seen in earlier replies."""

from __future__ import annotations

from ainb.messages import Call, Usage

UNKNOWN_OUTPUT_TOKENS = 1_024
# Before the first reply: ordinary English has four characters per token, code and other languages fewer.
FIRST_CHARACTERS_PER_TOKEN = 3.0
FRAMING_CHARACTERS = 24
# Characters that a picture or another part that is not text counts as.
PART_CHARACTERS = 3_000
FORGET = 0.9


class TokenEstimates:
    """Estimates the input tokens of calls from a model's ratio of tokens to characters in earlier replies.

    Text is not tokenised: 120,000 characters would take 13 ms and delay every other call. A wrong estimate is
    corrected when the reply reports the actual use.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}

    def __call__(self, call: Call) -> tuple[int, int]:
        """Input and output tokens that a call may take."""
        request = call.request
        tokens, characters = self._seen.get(
            (request.provider, request.model), (1.0, FIRST_CHARACTERS_PER_TOKEN)
        )
        input_tokens = int(length(call) * tokens / characters) + 1
        return input_tokens, max(request.output_limits, default=UNKNOWN_OUTPUT_TOKENS)

    def learn(self, call: Call, usage: Usage) -> None:
        """Update the ratio with the provider's count of a call's input tokens."""
        if not usage.input_tokens or usage.input_tokens < 0:
            return
        key = (call.request.provider, call.request.model)
        tokens, characters = self._seen.get(key, (0.0, 0.0))
        self._seen[key] = tokens * FORGET + usage.input_tokens, characters * FORGET + length(call)


def length(call: Call) -> int:
    """Length of a call's messages in characters, with a constant for each message and each non-text part."""
    total = 0
    for message in call.request.messages:
        content = message.content
        if isinstance(content, str):
            total += len(content) + FRAMING_CHARACTERS
        else:
            parts = sum(PART_CHARACTERS for part in content if part.get("type") != "text")
            total += len(message.text) + FRAMING_CHARACTERS + parts
    return total or 1
