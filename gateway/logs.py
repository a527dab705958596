"""Structured logs: a constant event name plus keys, redacted before every sink. SQL values are never logged.

What lives here: structlog's and the standard library's configuration, and the redaction. Libraries that log through the
standard library (slack_sdk, aiohttp, asyncio) pass the same processor, at WARNING and above unless the level is DEBUG.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

#: Keys whose values are never shown, whatever they hold.
_SECRET_KEYS = re.compile(r"token|password|secret|authorization|signature|cookie|dsn", re.IGNORECASE)
#: What a secret looks like inside a longer text: JWTs, Slack tokens, passwords in URLs, bearer headers.
_SECRET_TEXTS = re.compile(
    r"eyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*)?|xox[a-z]-[\w-]+|xapp-[\w-]+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?i:bearer)\s+\S+"
)
_HIDDEN = "[redacted]"


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Hide secrets by key and by look, in every value, exceptions included. A structlog processor."""
    return {key: _HIDDEN if _SECRET_KEYS.search(key) else _hide(value) for key, value in event.items()}


def _hide(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_TEXTS.sub(_HIDDEN, value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: _HIDDEN if _SECRET_KEYS.search(str(key)) else _hide(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(each) for each in value]
    return _hide(repr(value))  # bytes, an exception, a set: the renderer would print just this, behind our back


def _of_worker(number: int) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event["worker"] = number
        return event

    return add


def configure(style: str = "console", level: int = logging.INFO, worker: int = 0) -> None:
    """Log to standard error as `json` or for people (`console`). `worker`: the number that each line has, where there are several."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    if worker:
        shared.insert(0, _of_worker(worker))
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        foreign_pre_chain=shared,
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level if level <= logging.DEBUG else logging.WARNING, force=True)
