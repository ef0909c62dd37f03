"""Broker: what a file says of a broker -> what the link needs."""

from collections.abc import Mapping
from pathlib import Path

from documents.settings import BrokerSettings
from link.mqtt import Broker


def broker_of(
    settings: BrokerSettings, *, client_id: str, environ: Mapping[str, str], folder: Path
) -> Broker:
    """The broker, with its password read from where the settings say.

    Args:
        folder: what relative paths are relative to.

    Raises:
        SecretMissing: the password is not where it should be.
    """

    def file(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    return Broker(
        url=settings.url,
        client_id=client_id,
        username=settings.username,
        password=settings.password(environ=environ, folder=folder),
        ca_file=file(settings.ca_file),
        certificate_file=file(settings.certificate_file),
        key_file=file(settings.key_file),
        keepalive_s=settings.keepalive_s,
    )
