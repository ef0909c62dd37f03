"""Lifecycle: observations, the clock, people's words -> an alert's steps. Pure."""

from collector.alerting.lifecycle.book import AlertBook
from collector.alerting.lifecycle.standing import AlertUnknown
from collector.alerting.lifecycle.table import StepIllegal

__all__ = ["AlertBook", "AlertUnknown", "StepIllegal"]
