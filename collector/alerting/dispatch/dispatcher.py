"""Dispatcher: steps of alerts, silences, the clock -> notices, and what to remember.

Pure: the same is planned whenever the same is asked, so that a crash between planning and keeping
changes nothing. Stages and words are Alertmanager's (`dispatch/`, `notify/dedup_stage.go`);
acknowledgement, escalation, quiet hours and digests are ours.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct

from collector.alerting.alert import Alert, Transition
from collector.alerting.dispatch.backlog import tell_backlogs
from collector.alerting.dispatch.calendar import Classify
from collector.alerting.dispatch.digests import history_since, tell_digests
from collector.alerting.dispatch.facts import FactBook
from collector.alerting.dispatch.flush import flush, forget_chains
from collector.alerting.dispatch.intake import live_of, take_in
from collector.alerting.dispatch.mass import regroup
from collector.alerting.dispatch.memory import Memory, read_memory, set_back, write_memory
from collector.alerting.dispatch.muting import Muting
from collector.alerting.dispatch.needs import needs_of
from collector.alerting.dispatch.routing import Routing
from collector.alerting.dispatch.sitting import Office, Sitting
from collector.alerting.dispatch.undelivered import tell_undelivered
from collector.alerting.notice import Notice, Silence, Unsent
from collector.alerting.notify.content import Renderer
from collector.alerting.notify.settings import NotifySettings


class Outlook(Struct, frozen=True, kw_only=True):
    """What a plan looks at.

    Attributes:
        steps: all that were not planned for yet, in order.
        open_alerts: as they stand after the last step there is.
        silences: those in force, at least.
        unsent: notices tried in vain, and those given up lately.
        history: what moved since `Dispatcher.history_since`; empty where that is None.
    """

    steps: Sequence[Transition] = ()
    open_alerts: Sequence[Alert] = ()
    silences: Sequence[Silence] = ()
    unsent: Sequence[Unsent] = ()
    history: Sequence[Alert] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """What comes of it.

    Attributes:
        changed: whether anything but the time differs from the memory before.
        wake_ms: when to plan again at the latest, later than now; None: when something happens.
    """

    notices: list[Notice]
    memory: bytes
    changed: bool
    wake_ms: int | None


class Dispatcher:
    """Plans notices; keeps nothing but its settings, and what they say of open alerts.

    One thread.
    """

    def __init__(
        self,
        settings: NotifySettings,
        renderer: Renderer,
        classify: Classify,
        paging: Collection[str] = (),
    ) -> None:
        """Hold what does not change.

        Args:
            classify: the class of the day in Shanghai that an instant lies in.
            paging: rules that may wake people in quiet hours whatever their colour.
        """
        routing = Routing(settings)
        self._office = Office(
            settings=settings,
            routing=routing,
            facts=FactBook(settings, routing, classify),
            renderer=renderer,
            classify=classify,
            paging=frozenset(paging),
        )
        self._last = (b"", Memory())

    def history_since(self, memory: bytes, now_ms: int) -> int | None:
        """From when on the next plan needs the record of alerts; None: it does not."""
        office = self._office
        return history_since(office.settings, self._recalled(memory), now_ms, office.classify)

    def plan(self, outlook: Outlook, memory: bytes, now_ms: int) -> Plan:
        """Plan what is due now.

        Args:
            memory: what the last plan came to; empty at first.

        Raises:
            MemoryUnreadable: it cannot be read.
        """
        known = self._recalled(memory)
        self._last = (b"", Memory())  # this plan changes it
        before_ms = known.now_ms
        if now_ms < before_ms:
            set_back(known, before_ms - now_ms)
        sitting = Sitting(
            office=self._office,
            memory=known,
            now_ms=now_ms,
            live=live_of(outlook.open_alerts),
            stuck=frozenset(one.notice.chain for one in outlook.unsent if one.is_waiting),
        )
        take_in(sitting, outlook.steps)
        muting = self._muting(known, outlook, now_ms)
        # What is told starts clocks of its own: look again until nothing more is due.
        needs = regroup(sitting, needs_of(sitting, muting, list(known.alerts)))
        told = flush(sitting, needs, muting.inhibited)
        while told:
            again = regroup(sitting, needs_of(sitting, muting, sorted(told)))
            told = flush(sitting, again, muting.inhibited)
        forget_chains(sitting, needs)
        for shadow in known.shadows:
            sitting.wake(shadow.until_ms)
        tell_backlogs(sitting)
        tell_digests(sitting, outlook.history)
        tell_undelivered(sitting, outlook.unsent)
        # The time is kept with what it belongs to: a plan that comes to nothing need not be kept.
        known.now_ms = before_ms
        set_anew = now_ms < before_ms
        changed = bool(sitting.notices) or set_anew or write_memory(known) != memory
        known.now_ms = now_ms
        kept = write_memory(known)
        self._last = (kept, known)
        return Plan(
            notices=sitting.notices,
            memory=kept,
            changed=changed,
            wake_ms=sitting.wake_ms,
        )

    def _recalled(self, memory: bytes) -> Memory:
        """The memory as values; that of the last plan is still at hand."""
        kept, known = self._last
        return known if kept and kept is memory else read_memory(memory)

    def _muting(self, memory: Memory, outlook: Outlook, now_ms: int) -> Muting:
        memory.shadows = [shadow for shadow in memory.shadows if shadow.until_ms > now_ms]
        muting = Muting(self._office.settings.inhibitions, outlook.silences, now_ms)
        facts = self._office.facts
        facts.keep(outlook.open_alerts)
        muting.expose(map(facts.of, outlook.open_alerts))
        muting.expose((facts.of(shadow.alert) for shadow in memory.shadows), over=True)
        return muting
