"""Worklist: settings, a workshop -> the jobs that run by themselves, in order of their turns."""

from collections.abc import Callable

from collector.alerting.settled import SettledRules
from collector.hindsight import Hindsight
from collector.hindsight import Parts as HindsightParts
from collector.jobs.job import CatchUp, Job, Progress
from collector.jobs.periods import Every
from collector.jobs.settling import settlement_job
from collector.quality.words import day_of
from collector.settings import CollectorSettings
from collector.settle.cells import DAY_MS
from collector.warning import EarlyWarning, told
from collector.warning import Parts as WarningParts
from collector.watching import Watching
from collector.workshop import Workshop

_HINDSIGHT_MS = 900_000
_KEEP_NOTICES_DAYS = 400  # who was told what: more than a year
_KEEP_DROPPED_DAYS = 7  # what was pending and never fired


def worklist(
    settings: CollectorSettings,
    workshop: Workshop,
    watching: Watching | None = None,
    settled: SettledRules | None = None,
) -> tuple[Job, ...]:
    """What runs by itself, in the order in which each has its turn.

    Args:
        watching, settled: whoever judges alerts, and what is held against the rules on settled
            figures; None where nobody does.
    """
    wanted = settings.jobs
    settlement = Job(
        name="settlement",
        title="结算",
        schedule=wanted.settlement.schedule(),
        work=_settlement(workshop),
    )
    housekeeping = Job(
        name="housekeeping",
        title="清理",
        schedule=wanted.housekeeping.schedule(),
        work=_housekeeping(settings, workshop),
    )
    verification = Job(
        name="verification",
        title="日校核",
        schedule=wanted.verification.schedule(),
        work=_verification(workshop),
        catch_up=CatchUp.EACH,
        most=wanted.catch_up_days,
    )
    every = (
        (wanted.settlement, settlement),
        (wanted.verification, verification),
        (wanted.housekeeping, housekeeping),
    )
    jobs = tuple(job for its, job in every if its.enabled)
    if watching is None or settled is None or not watching.rules:
        return jobs
    if wanted.warning.enabled:
        warning = Job(
            name="warning",
            title="预警",
            schedule=wanted.warning.schedule(),
            work=_warning(settings, workshop, watching, settled),
        )
        jobs = (*jobs, warning)
    hindsight = Job(
        name="hindsight",
        title="补传告警",
        schedule=Every(width_ms=_HINDSIGHT_MS),
        work=_hindsight(workshop, watching),
    )
    return (*jobs, hindsight)


def _warning(
    settings: CollectorSettings, workshop: Workshop, watching: Watching, settled: SettledRules
) -> Callable[[int, Progress], str]:
    wanted = settings.jobs.warning
    warning = EarlyWarning(
        WarningParts(
            rules=settled,
            matters={rule.id: rule.group or rule.id for rule in watching.rules},
            settled=workshop.state.settled_book,
            alerting=watching.alerting,
            alert_log=workshop.state.alert_log,
            clock=workshop.clock,
            grace_ms=wanted.grace_min * 60_000,
            look_back_days=wanted.look_back_days,
        )
    )

    def work(_period_ms: int, progress: Progress) -> str:
        return told(warning.judge(progress))

    return work


def _hindsight(workshop: Workshop, watching: Watching) -> Callable[[int, Progress], str]:
    hindsight = Hindsight(
        HindsightParts(
            readings=watching.readings,
            looker=watching.looker,
            alerting=watching.alerting,
            alert_log=workshop.state.alert_log,
            store=workshop.store,
            fleet=workshop.fleet,
            clock=workshop.clock,
        )
    )

    def work(_period_ms: int, progress: Progress) -> str:
        return f"补查 {hindsight.judge(progress)} 块表补传的数据"

    return work


def _verification(workshop: Workshop) -> Callable[[int, Progress], str]:
    def verify(period_ms: int, progress: Progress) -> str:
        """What is lacking of the day is settled as missing before anybody judges it."""
        day_ms = period_ms - DAY_MS
        silent = workshop.mark_silent(day_ms)
        if silent:
            workshop.settling.take_turn(
                lambda settlement: settlement.settle_dirty(progress, meters=silent)
            )
        again = workshop.verification.verify_changed(day_ms, progress)
        found = workshop.verification.verify_day(day_ms, progress)
        more = f"；补到数据的 {len(again)} 天已重新校核" if again else ""
        lacking = f"；{len(silent)} 块表数据不全，已按缺失结算" if silent else ""
        return f"校核 {day_of(day_ms)}：发现 {len(found)} 项{lacking}{more}"

    return verify


def _settlement(workshop: Workshop) -> Callable[[int, Progress], str]:
    """Settles; and keeps what arrived, so that a crash costs a quarter of an hour of it."""
    settle = settlement_job(workshop.settling)

    def work(period_ms: int, progress: Progress) -> str:
        workshop.verification.keep_arrivals()
        return settle(period_ms, progress)

    return work


def _housekeeping(
    settings: CollectorSettings, workshop: Workshop
) -> Callable[[int, Progress], str]:
    state = workshop.state

    def forget(_period_ms: int, _progress: Progress) -> str:
        now_ms = workshop.clock.now_ms()
        batches = state.forget_before(now_ms - settings.keep_batches_days * DAY_MS)
        runs = state.job_log.forget_runs_before(now_ms - settings.jobs.keep_runs_days * DAY_MS)
        dropped = state.alert_log.forget_before(now_ms - _KEEP_DROPPED_DAYS * DAY_MS)
        # Where nobody looks at what was settled, because no rule does, the marks end here.
        state.settled_book.forget_before(now_ms - settings.jobs.warning.look_back_days * DAY_MS)
        notices = state.outbox.forget_before(now_ms - _KEEP_NOTICES_DAYS * DAY_MS)
        said = (
            f"清除 {batches} 个批次摘要、{runs} 条任务记录、{dropped} 条未触发的告警、"
            f"{notices} 条旧通知"
        )
        if settings.keep_quarters_days is None:
            return said
        before_ms = now_ms - settings.keep_quarters_days * DAY_MS
        kept_ms = workshop.settling.take_turn(lambda _: workshop.intervals.drop_quarters(before_ms))
        return f"{said}；15 分钟数据保留自 {day_of(kept_ms)}"

    return forget
