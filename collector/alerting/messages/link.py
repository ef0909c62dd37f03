"""Link: an alert and a receiver -> a signed token for the address of a message; and back.

Whoever has the link may acknowledge that one alert in that receiver's name until it runs out, and
nothing else. The page behind it asks once more: mail programs open links by themselves.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from typing import Protocol

import msgspec
from msgspec import Struct

from metering.errors import PermanentError

_SIGNED = 16  # bytes of the signature: 128 bits


class LinkInvalid(PermanentError):
    """A token that was not made here, was changed, or has run out; the message says which."""


class Token(Struct, frozen=True, array_like=True):
    """What a link says: `alert` may be acknowledged in `receiver`'s name until `until_ms`."""

    alert: int
    receiver: str
    until_ms: int


def sign(token: Token, key: bytes) -> str:
    """The token as characters that stand in an address."""
    body = msgspec.json.encode(token)
    return urlsafe_b64encode(_signature(body, key) + body).decode().rstrip("=")


def read(text: str, key: bytes, now_ms: int) -> Token:
    """The token again.

    Raises:
        LinkInvalid: somebody else made it, or it has run out.
    """
    try:
        raw = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (NotBase64, ValueError, UnicodeEncodeError):
        raise LinkInvalid("链接不完整，请从原邮件中重新打开") from None
    body = raw[_SIGNED:]
    if not hmac.compare_digest(raw[:_SIGNED], _signature(body, key)):
        raise LinkInvalid("链接无效：签名不符")
    token = msgspec.json.decode(body, type=Token)
    if token.until_ms <= now_ms:
        raise LinkInvalid("链接已过期，请登录系统或用 nenghao alert ack 确认")
    return token


def _signature(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, body, sha256).digest()[:_SIGNED]


class Links(Protocol):
    """Addresses for messages; "" where none can be made."""

    def acknowledge(self, alert: int, receiver: str, now_ms: int) -> str: ...


class NoLinks:
    """The settings name no address."""

    def acknowledge(self, alert: int, receiver: str, now_ms: int) -> str:  # noqa: ARG002
        return ""


class SignedLinks:
    """Under `base_url`, signed."""

    def __init__(self, base_url: str, key: bytes, valid_ms: int) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._valid_ms = valid_ms

    def acknowledge(self, alert: int, receiver: str, now_ms: int) -> str:
        # By whole hours: the same notice planned again after a crash has the same words.
        until_ms = now_ms - now_ms % 3_600_000 + self._valid_ms
        token = Token(alert, receiver, until_ms)
        return f"{self._base_url}/acknowledge/{sign(token, self._key)}"
