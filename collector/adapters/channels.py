"""Channels: the settings' receivers -> ways that can be used, secrets and all."""

from collections.abc import Mapping
from pathlib import Path

import structlog

from collector.adapters.mail import MailChannel, mail_server
from collector.adapters.webhook import WebhookChannel
from collector.alerting.notice import Channel, Said
from collector.alerting.notify.settings import (
    ChannelKind,
    ChannelSettings,
    NotifySettings,
    Receiver,
)
from documents.secret import named_secret, read_secret
from metering.errors import PermanentError

log = structlog.get_logger()

_TO = "{to}"


class ClosedChannel:
    """A way that cannot be used, and says why at each try: the next one of the receiver is."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    def send(self, subject: str, text: str, html: str, *, key: str) -> Said:  # noqa: ARG002
        return Said(sent=False, answer=self._why)


def open_channels(
    settings: NotifySettings, *, environ: Mapping[str, str], folder: Path
) -> dict[str, tuple[Channel, ...]]:
    """Each receiver's channels, in order.

    One whose secret is missing, or whose URL cannot be used, is a `ClosedChannel`: that is said
    at the start and at each try, and stops nobody else's notices.

    Args:
        environ: where secrets named by environment are.
        folder: what secrets' files are relative to.
    """
    return {
        name: tuple(
            _channel(settings.channels[way.channel], way.to, environ, folder)
            for way in receiver.ways
        )
        for name, receiver in settings.receivers.items()
    }


def channels_of(
    receiver: Receiver, settings: NotifySettings, *, environ: Mapping[str, str], folder: Path
) -> tuple[Channel, ...]:
    """One receiver's."""
    return tuple(
        _channel(settings.channels[way.channel], way.to, environ, folder) for way in receiver.ways
    )


def _channel(spec: ChannelSettings, to: str, environ: Mapping[str, str], folder: Path) -> Channel:
    try:
        return _opened(spec, to, environ, folder)
    except PermanentError as error:
        log.warning("channel.closed", channel=spec.name, error=str(error))
        return ClosedChannel(spec.name, str(error))


def _opened(spec: ChannelSettings, to: str, environ: Mapping[str, str], folder: Path) -> Channel:
    url = _secret(spec.url, spec.url_file, spec.url_env, environ, folder).replace(_TO, to)
    password = None
    if spec.password_file is not None or spec.password_env is not None:
        password = _secret(None, spec.password_file, spec.password_env, environ, folder)
    match spec.kind:
        case ChannelKind.MAIL:
            return MailChannel(
                spec.name, mail_server(url), to, password=password, timeout_s=spec.timeout_s
            )
        case ChannelKind.WEBHOOK:
            return WebhookChannel(spec.name, url, to, key=password or "", timeout_s=spec.timeout_s)
        case ChannelKind.APPRISE:
            # Imported where it is used: it looks through all of its services.
            from collector.adapters.apprise import AppriseChannel  # noqa: PLC0415

            return AppriseChannel(spec.name, url, timeout_s=spec.timeout_s)


def _secret(
    plain: str | None,
    file: Path | None,
    variable: str | None,
    environ: Mapping[str, str],
    folder: Path,
) -> str:
    if file is not None:
        return read_secret(folder / file)
    if variable is not None:
        return named_secret(variable, environ)
    return plain or ""
