"""Strict: the base of every document's model, and texts of a known form.

Models are validated as JSON in pydantic's strict mode: a list becomes a tuple and a text an enum,
but no text becomes a number and no number a text. A `BeforeValidator` inside a model leaves that
mode for the value it stands on, so it has to return the final type.
"""

import re

from pydantic import AfterValidator, BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are errors, values are frozen, types are meant, NaN and infinity are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),  # a meter has a `model`; pydantic would keep the word for itself
    )


def matching(pattern: str, meaning: str) -> AfterValidator:
    """A text that matches `pattern` as a whole; `meaning` is the form in words, for the error."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"{meaning} is needed, '{text}' came")
        return text

    return AfterValidator(check)
