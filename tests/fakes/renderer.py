"""A `Renderer` whose words say what the content holds, for scripts to compare."""

from collections import Counter

from collector.alerting.notify.content import Content, Digest, Line, Rendered, Trouble
from collector.alerting.notify.match import group_of

_FEW = 4


class PlainRenderer:
    """The subject sums up, the text has a line for each alert."""

    def render(self, content: Content) -> Rendered:
        said = [*_lines(content.lines), *map(_trouble, content.troubles)]
        if content.unlisted:
            said.append(f"{content.unlisted} more")
        if content.standing:
            said.append(f"{len(content.standing)} still")
        if content.digest is not None:
            said.append(_digest(content.digest))
        where = f" ({content.gateway})" if content.gateway else ""
        subject = f"{content.kind}{where}: {'; '.join(said)}"
        text = "\n".join(
            f"{line.cause} {group_of(line.alert)} {line.alert.subject.id}" for line in content.lines
        )
        return Rendered(subject=subject, text=text, html=f"<p>{subject}</p>")


def _lines(lines: tuple[Line, ...]) -> list[str]:
    if len(lines) <= _FEW:
        return [
            f"{line.cause} {line.alert.severity} {group_of(line.alert)} {line.alert.subject.id}"
            for line in lines
        ]
    counts = Counter(f"{line.cause} {group_of(line.alert)}" for line in lines)
    return [f"{count} × {what}" for what, count in counts.items()]


def _trouble(trouble: Trouble) -> str:
    return (
        f"{trouble.receiver} {trouble.waiting} waiting, {trouble.failed} failed: {trouble.answer}"
    )


def _digest(digest: Digest) -> str:
    counted = f"{len(digest.new)} new, {len(digest.solved)} solved, {len(digest.standing)} open"
    longest = f", longest {digest.standing[0].subject.id}" if digest.standing else ""
    replayed = f", {digest.replayed} replayed" if digest.replayed else ""
    return f"{digest.days}d {counted}{longest}{replayed}"
