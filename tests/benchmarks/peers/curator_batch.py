"""Curator's LLM without a rate limit; its files are in a temporary folder."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

BASE_URL, ROWS, AT_ONCE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
VOCABULARIES = Path(__file__).resolve().parents[3] / "ainb" / "data"
# Where tiktoken looks for a vocabulary before it downloads it: the SHA-1 of its address.
CACHED_NAMES = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
}
NO_LIMIT = 1_000_000_000

place = tempfile.TemporaryDirectory()  # removed at exit
folder = Path(place.name)
for name, cached in CACHED_NAMES.items():
    (folder / cached).write_bytes(gzip.decompress((VOCABULARIES / f"{name}.tiktoken.gz").read_bytes()))
os.environ |= {
    "TIKTOKEN_CACHE_DIR": str(folder),
    "CURATOR_CACHE_DIR": str(folder / "curator"),
    "HF_HOME": str(folder / "datasets"),
    "HF_HUB_OFFLINE": "1",
    "TELEMETRY_ENABLED": "false",
    "BESPOKE_CURATOR_TRACKER_DISABLED": "1",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HOME": str(folder),
}

from bespokelabs import curator  # noqa: E402 - the variables are read at import


def batch(word: str) -> tuple[float, int]:
    model = curator.LLM(
        model_name="gpt-4o-mini",
        backend="openai",
        backend_params={
            "base_url": BASE_URL,
            "max_concurrent_requests": AT_ONCE,
            "max_requests_per_minute": NO_LIMIT,
            "max_tokens_per_minute": NO_LIMIT,
        },
    )
    started = time.monotonic()
    table = model([f"{word} {number}" for number in range(ROWS)])
    seconds = time.monotonic() - started
    return seconds, len(getattr(table, "dataset", table))


(first, _), (second, answered) = batch("Classify"), batch("Label")
print(version("bespokelabs-curator"), first, second, answered)
