"""Evaluate: readings, silences, signs -> observations. Knows no durations, colours or people."""
