"""Centre: a question -> the collector's answer, over HTTP, whether a collector runs or not.

Only one process may open an embedded database. So a command asks whoever holds the collector's
folder; if nobody does, it holds the folder itself for as long as it takes and asks its own process.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import structlog

from collector.adapters.folder_lock import AlreadyRunning
from collector.alone import served_alone
from collector.fleet.check import load_fleet
from collector.settings import CollectorSettings, load_settings
from collector.workshop import store_id_of
from metering.errors import PermanentError, TransientError

log = structlog.get_logger()

DEFAULT_API = "http://127.0.0.1:8090"
PLACES = (
    Path("collector.yaml"),
    Path("config/collector.yaml"),
    Path("config/examples/collector.yaml"),
)
_TIMEOUT_S = 120.0


class CentreAway(TransientError):
    """No collector answers, or not now."""


class CentreRefused(PermanentError):
    """The collector understood the question and says no."""


class CentreForeign(PermanentError):
    """Whoever answers is another district's collector."""


class Centre:
    """Whoever answers.

    Attributes:
        runs: it is a collector that runs by itself; otherwise it ends with this command.
    """

    def __init__(self, client: httpx.Client, *, runs: bool = True) -> None:
        self._client = client
        self.runs = runs

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        json: Any = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Any:
        """One question. What it raises, `main` tells: a command that may end with it need not care.

        Raises:
            CentreAway: nobody answers, or the store is away.
            CentreRefused: the answer is no; the message is the centre's own, for people.
        """
        asked = f"{method} {str(self._client.base_url).rstrip('/')}{path}"
        try:
            answer = self._client.request(method, path, params=params, json=json, timeout=timeout_s)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise _failure(asked, error.response) from error
        except httpx.HTTPError as error:
            raise CentreAway(
                f"{asked}: no collector answers ({error}); start it, or name it with --api"
            ) from error
        return answer.json()


def _failure(asked: str, response: httpx.Response) -> CentreAway | CentreRefused:
    """What the centre says of itself; transport is told only where it says nothing for people."""
    said = _detail(response)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return CentreAway(f"{said or response.text} ({asked})")
    return CentreRefused(said or f"{asked}: {response.status_code} {response.text}")


def _detail(response: httpx.Response) -> str:
    """The `detail` of a refusal that is ours; the framework's own is a list, or a bare phrase."""
    try:
        body = response.json()
    except ValueError:
        return ""
    detail = body.get("detail") if isinstance(body, dict) else None
    ours = isinstance(detail, str) and detail != response.reason_phrase
    return str(detail) if ours else ""


@contextmanager
def centre(settings: Path | None, api: str | None) -> Iterator[Centre]:
    """Whoever answers for the collector's data.

    Args:
        settings: the collector's file; None: the first of `PLACES` that is there.
        api: ask there and nowhere else.

    Raises:
        NenghaoError: nobody can be asked; the message says what was tried.
    """
    file = None if api else settings or next((one for one in PLACES if one.is_file()), None)
    if file is None:
        with _client(api or DEFAULT_API) as client:
            yield Centre(client)
        return
    with ExitStack() as undo:
        loaded = load_settings(file)
        runs = False
        try:
            url = undo.enter_context(served_alone(loaded, file.parent))
        except AlreadyRunning as held:
            url, runs = _url_of(held), True
        found = Centre(undo.enter_context(_client(url)), runs=runs)
        if runs:
            _demand_own_store(found, loaded, file)
        else:
            log.info("centre.alone", settings=str(file))
        yield found


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False)


def _url_of(held: AlreadyRunning) -> str:
    if not held.url:
        raise CentreAway(f"{held}, or wait: it is starting and does not answer yet") from held
    return held.url


def _demand_own_store(found: Centre, settings: CollectorSettings, file: Path) -> None:
    """The folder is this collector's; that the answer is as well costs one question."""
    theirs = found.ask("GET", "/status")["store"]
    ours = store_id_of(load_fleet(file.parent / settings.config))
    if theirs != ours:
        raise CentreForeign(
            f"the collector that answers serves the store {theirs!r}, {file} means {ours!r}"
        )
