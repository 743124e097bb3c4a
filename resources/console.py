"""What a run prints in a terminal: one line a message, without Dagster's own bookkeeping."""

import logging
import sys

import dagster as dg

from teams_dagster.core.text import visible


class _Line(logging.Formatter):
    """`12:03:04  trained_policy  what happened`; what a message quotes controls no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", None) or {}
        message = meta.get("orig_message") or record.getMessage()
        line = f"{self.formatTime(record, '%H:%M:%S')}  {meta.get('step_key') or '':<24} {visible(message)}"
        return line if record.levelno < logging.WARNING else f"{line}  [{record.levelname}]"


def _worth_saying(record: logging.LogRecord) -> bool:
    """Whether a message is news: that what depends on a failed step does not run is not."""
    message = (getattr(record, "dagster_meta", None) or {}).get("orig_message") or record.getMessage()
    return not message.startswith("Dependencies for step")


@dg.logger(config_schema={}, description="One line a message, for people who watch a run in a terminal")
def console(_init: dg.InitLoggerContext) -> logging.Logger:
    """Messages of level INFO and above on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Line())
    handler.addFilter(_worth_saying)
    logger = logging.Logger("teams", level=logging.INFO)
    logger.addHandler(handler)
    return logger
