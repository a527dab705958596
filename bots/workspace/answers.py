"""What an app answers to an interaction or command, put into the state: response_url posts, command acks, modal acks.

Errors are Slack's words. Sending the interaction is delivery.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bots.workspace import limits
from bots.workspace.methods import add_view, replace_view
from bots.workspace.payloads import Json
from bots.workspace.state import Message, ResponseUrl, State, View

MODAL_TROUBLE = "We had some trouble connecting. Try again?"


def spend_response_url(state: State, key: str) -> ResponseUrl | str:
    """Count one use of a response_url; return it, or the error `invalid_url`, `expired_url` or `used_url`."""
    grant = state.response_urls.get(key)
    if grant is None:
        return "invalid_url"
    if state.clock() > grant.expires:
        return "expired_url"
    if grant.uses_left <= 0:
        return "used_url"
    grant.uses_left -= 1
    return grant


def post_answer(state: State, grant: ResponseUrl, body: Mapping[str, Any]) -> str:
    """Show an answer; return "" or Slack's error code. Ephemeral unless `response_type` is in_channel."""
    original = state.message(grant.channel, grant.message_ts, grant.user) if grant.message_ts else None
    if body.get("delete_original"):
        return _delete(state, original)
    text, blocks = body.get("text") or "", body.get("blocks") or []
    if not text and not blocks:
        return "no_text"
    if problem := limits.find_problem(blocks, whole_message=False) or limits.find_text_problem(text, limits.POST_TEXT):
        return problem.error
    if body.get("replace_original"):
        return _replace(state, original, text, blocks)
    visible_to = "" if body.get("response_type") == "in_channel" else grant.user
    thread_ts = str(body.get("thread_ts") or "")
    if original and original.thread_ts and not thread_ts and visible_to:
        thread_ts = original.thread_ts
    state.add_message(grant.channel, text=text, blocks=blocks, thread_ts=thread_ts, visible_to=visible_to)
    state.changed()
    return ""


def _delete(state: State, original: Message | None) -> str:
    if original is None:
        return "message_not_found"
    state.drop_message(original)
    state.changed()
    return ""


def _replace(state: State, original: Message | None, text: str, blocks: list[Json]) -> str:
    if original is None:
        return "message_not_found"
    original.text, original.blocks = text, state.named(blocks)
    original.warnings.clear()
    state.changed()
    return ""


def end_submission(state: State, view: View, body: Mapping[str, Any]) -> str:
    """Do what a view_submission ack asks; return "" or what is wrong with it. No `response_action` closes the modal."""
    problem = _RESPONSES.get(str(body.get("response_action") or "close"), _unknown)(state, view, body)
    view.errors |= {"": MODAL_TROUBLE} if problem else {}
    state.changed()
    return problem


def _close(state: State, view: View, _body: Mapping[str, Any]) -> str:
    state.drop_view(view)
    return ""


def _clear(state: State, view: View, _body: Mapping[str, Any]) -> str:
    for other in state.open_views(view.user):
        state.drop_view(other)
    return ""


def _errors(_state: State, view: View, body: Mapping[str, Any]) -> str:
    errors = body.get("errors")
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not errors.keys() <= inputs:
        return "errors must name input blocks of the view"
    view.errors = {str(block): str(text) for block, text in errors.items()}
    return ""


def _update(state: State, view: View, body: Mapping[str, Any]) -> str:
    if problem := limits.find_view_problem(body.get("view")):
        return str(problem)
    replace_view(state, view, body["view"])
    return ""


def _push(state: State, view: View, body: Mapping[str, Any]) -> str:
    if problem := limits.find_view_problem(body.get("view")):
        return str(problem)
    if len(state.open_views(view.user)) >= limits.VIEW_DEPTH:
        return "push_limit_reached"
    add_view(state, view.user, body["view"], view)
    return ""


def _unknown(_state: State, _view: View, body: Mapping[str, Any]) -> str:
    return f"unknown response_action {body.get('response_action')!r}"


_RESPONSES = {"close": _close, "clear": _clear, "errors": _errors, "update": _update, "push": _push}
