"""MailChannel: a notice -> a mail handed to an SMTP server, plain text and HTML in one.

By the standard library and not by apprise: the Message-ID must be the same when a notice is sent
again after a crash, so that a mail program shows it once (decision 0022).
"""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from hashlib import sha256
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from collector.alerting.notice import Said
from metering.errors import PermanentError

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class MailUrlInvalid(PermanentError):
    """A mail channel's URL cannot be used; the message never holds a password."""


class MailServer(Struct, frozen=True, kw_only=True):
    """Where mail is handed in.

    Attributes:
        scheme: smtp (plain), smtp+starttls, or smtps.
        sender: what stands in From.
    """

    scheme: str
    host: str
    port: int
    user: str | None
    sender: str


def mail_server(url: str) -> MailServer:
    """`smtp://[user@]host[:port]?from=address` as its parts.

    Raises:
        MailUrlInvalid: it is none; says what is needed.
    """
    parts = urlsplit(url)
    sender = parse_qs(parts.query).get("from", [""])[0]
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _PORTS or not parts.hostname or port == -1 or "@" not in sender:
        raise MailUrlInvalid(
            "smtp://[user@]host[:port]?from=address is needed (or smtps://, smtp+starttls://)"
        )
    if parts.password is not None:
        raise MailUrlInvalid("a password stands in password_file or password_env, not in the URL")
    return MailServer(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        user=unquote(parts.username) if parts.username else None,
        sender=sender,
    )


class MailChannel:
    """A `Channel`: one server and one address."""

    def __init__(
        self,
        name: str,
        server: MailServer,
        to: str,
        *,
        password: str | None = None,
        timeout_s: float = 10.0,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            trust: whom TLS believes; left out, the system's authorities.
        """
        self.name = name
        self._server = server
        self._to = to
        self._password = password
        self._timeout_s = timeout_s
        self._trust = trust

    def send(self, subject: str, text: str, html: str, *, key: str) -> Said:
        """Hand in one mail; a server that does not take it is an answer, not an error."""
        message = self._message(subject, text, html, key)
        try:
            with self._connected() as smtp:
                refused = smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            return Said(sent=False, answer=f"{self._to}: {code} {_text(said)}")
        except smtplib.SMTPResponseException as error:
            return Said(sent=False, answer=f"{error.smtp_code} {_text(error.smtp_error)}")
        except (OSError, smtplib.SMTPException) as error:
            where = f"{self._server.host}:{self._server.port}"
            return Said(sent=False, answer=f"{where}: {error or type(error).__name__}")
        if refused:
            return Said(sent=False, answer=f"refused: {', '.join(refused)}")
        return Said(sent=True, answer=f"accepted by {self._server.host}")

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.scheme == "smtps":
            trust = self._trust or ssl.create_default_context()
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=self._timeout_s, context=trust
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=self._timeout_s)
        try:
            if server.scheme == "smtp+starttls":
                smtp.starttls(context=self._trust or ssl.create_default_context())
            if server.user is not None and self._password is not None:
                smtp.login(server.user, self._password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _message(self, subject: str, text: str, html: str, key: str) -> EmailMessage:
        message = EmailMessage()
        # A line end in a header would be another header.
        message["Subject"] = " ".join(subject.split())
        message["From"] = _address(self._server.sender)
        message["To"] = _address(self._to)
        message["Date"] = format_datetime(localtime())
        domain = self._server.sender.rpartition("@")[2]
        message["Message-ID"] = f"<{sha256(f'{key} {self._to}'.encode()).hexdigest()}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
        return message


def _address(text: str) -> Address:
    name, _, spec = text.rpartition("<")
    return Address(name.strip(), addr_spec=spec.rstrip("> "))


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
