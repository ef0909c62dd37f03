"""AppriseChannel: a notice -> whatever apprise knows: 企业微信, 钉钉, 飞书, SMS gateways."""

import apprise

from collector.alerting.notice import Said
from metering.errors import PermanentError

_SHOWN = 300  # characters of the log that are kept
_TOLD = frozenset({"WARNING", "ERROR", "CRITICAL"})  # below that may be what was sent


class AppriseUrlInvalid(PermanentError):
    """Apprise does not know such a URL; the message never holds it: it is a key itself."""


class AppriseChannel:
    """A `Channel`: one URL of apprise. Its services have no key for repeats: it is left out."""

    def __init__(self, name: str, url: str, *, timeout_s: float = 10.0) -> None:
        """Connect to nothing yet.

        Raises:
            AppriseUrlInvalid: there is no service of that kind, or a part is missing.
        """
        self.name = name
        self._timeout_s = timeout_s
        self._service = apprise.Apprise()
        if not self._service.add(url):
            scheme = url.partition("://")[0][:20]
            raise AppriseUrlInvalid(f"channel {name}: apprise does not take this {scheme}:// URL")

    def send(self, subject: str, text: str, html: str, *, key: str) -> Said:  # noqa: ARG002
        """Send the plain text; services show it better than mail's HTML."""
        result = self._service.notify(
            body=text,
            title=subject,
            body_format=apprise.NotifyFormat.TEXT,
            timeout=self._timeout_s,
        )
        warnings = (entry for entry in result.logs() if entry.level in _TOLD)
        said = "; ".join(str(entry.message) for entry in warnings)
        return Said(sent=bool(result), answer=said[:_SHOWN] or ("ok" if result else "failed"))
