"""Secret: where a password is -> the password. It is never in a document itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from documents.strict import Strict
from metering.errors import PermanentError


class SecretMissing(PermanentError):
    """A document names a secret that is not there; the message says which, never what it holds."""


class Secret(Strict):
    """Two keys that any model may inherit; at most one of them is given.

    Attributes:
        password_file: a file whose content, without the line end, is the password.
        password_env: an environment variable that holds it.
    """

    password_file: Path | None = None
    password_env: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("give password_file or password_env, not both")
        return self

    def password(self, *, environ: Mapping[str, str], folder: Path) -> str | None:
        """The password, or `None` if the document names none; see `read_secret`."""
        if self.password_file is not None:
            return read_secret(folder / self.password_file)
        if self.password_env is not None:
            return named_secret(self.password_env, environ)
        return None


def read_secret(file: Path) -> str:
    """The content of `file` without the line end that every editor adds.

    Raises:
        SecretMissing: it cannot be read or is empty.
    """
    try:
        secret = file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SecretMissing(f"secret file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # Not chained: the decoder's error carries the bytes, and tracebacks go to logs.
        raise SecretMissing(f"secret file {file} is not UTF-8") from None
    if not secret:
        raise SecretMissing(f"secret file {file} is empty")
    return secret


def named_secret(name: str, environ: Mapping[str, str]) -> str:
    """The environment variable `name`.

    Raises:
        SecretMissing: it is not set or empty.
    """
    if not environ.get(name):
        raise SecretMissing(f"environment variable {name} is not set or empty")
    return environ[name]
