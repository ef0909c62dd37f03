"""WebhookChannel: a notice -> JSON by HTTP POST, signed so that the other side can trust it."""

import hashlib
import hmac
import time
from collections.abc import Callable

import httpx
import msgspec

from collector.alerting.notice import Said

SIGNATURE, TIMESTAMP, KEY = "X-Nenghao-Signature", "X-Nenghao-Timestamp", "Idempotency-Key"
_SHOWN = 200  # characters of an answer that are kept


class WebhookChannel:
    """A `Channel`: one URL. The body: `{"key", "to", "subject", "text", "html"}`.

    `X-Nenghao-Signature` is `sha256=` and the hex HMAC-SHA256 of `timestamp.body` with the shared
    key: a receiver refuses what does not match, and what is older than some minutes. A repeat
    after a crash has the same `Idempotency-Key`.
    """

    def __init__(
        self,
        name: str,
        url: str,
        to: str,
        *,
        key: str,
        timeout_s: float = 10.0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._url = url
        self._to = to
        self._key = key.encode()
        self._timeout_s = timeout_s
        self._now_s = now_s

    def send(self, subject: str, text: str, html: str, *, key: str) -> Said:
        """Post one notice; any answer but 2xx is a failure."""
        told = {"key": key, "to": self._to, "subject": subject, "text": text, "html": html}
        body = msgspec.json.encode(told)
        stamp = str(int(self._now_s()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            KEY: key,
            TIMESTAMP: stamp,
            SIGNATURE: signature(self._key, stamp, body),
        }
        try:
            answer = httpx.post(self._url, content=body, headers=headers, timeout=self._timeout_s)
        except httpx.HTTPError as error:
            return Said(sent=False, answer=f"{type(error).__name__}: {error}"[:_SHOWN])
        said = f"{answer.status_code} {answer.text[:_SHOWN]}".strip()
        return Said(sent=answer.is_success, answer=said)


def signature(key: bytes, stamp: str, body: bytes) -> str:
    """What stands in `X-Nenghao-Signature`."""
    return "sha256=" + hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
