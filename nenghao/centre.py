"""Centre: a question -> the running collector's answer, over its local HTTP API."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from collector.settings import load_settings
from metering.errors import PermanentError, TransientError

_API = "http://127.0.0.1:8090"
_TIMEOUT_S = 120.0


class CentreAway(TransientError):
    """No collector answers, or not now."""


class CentreRefused(PermanentError):
    """The collector understood the question and says no."""


class Centre:
    """Whoever answers."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """One question.

        Raises:
            CentreAway: nobody answers, or the store is away.
            CentreRefused: the answer is no; the message says why.
        """
        asked = f"{method} {self._client.base_url}{path}"
        try:
            answer = self._client.request(method, path, params=params, json=json)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            message = f"{asked}: {error.response.status_code} {error.response.text}"
            kind = (
                CentreAway
                if error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE
                else CentreRefused
            )
            raise kind(message) from error
        except httpx.HTTPError as error:
            raise CentreAway(f"{asked}: no collector answers ({error}); start it") from error
        return answer.json()


@contextmanager
def centre(settings: Path | None, api: str | None) -> Iterator[Centre]:
    """The running collector: at `api`, or where the settings say, or at the default address."""
    url = api or _API
    if api is None and settings is not None:
        door = load_settings(settings).api
        url = f"http://{door.host}:{door.port}"
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield Centre(client)
