"""Uploading a file as Slack has it done: ask for a URL, send the bytes there, then have it shared in a message.

What lives here: the two Web API methods and what their arguments may be. The upload itself is a route of api.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bots.workspace.methods import ApiError, Args, Method
from bots.workspace.payloads import Json
from bots.workspace.state import File, State

#: Slack takes 1 GB; nobody should wait for that here.
MOST_BYTES = 50_000_000


def get_upload_url(state: State, args: Args) -> Json:
    """Announce a file: its name and its length in bytes."""
    name, length = str(args.get("filename") or ""), str(args.get("length") or "")
    if not name or not length.isdecimal() or not 0 < int(length) <= MOST_BYTES:
        raise ApiError("invalid_arguments")
    found = File(state.new_id("F"), name, int(length))
    state.files[found.id] = found
    return {"upload_url": f"{state.base_url}/upload/{found.id}", "file_id": found.id}


def complete_upload(state: State, args: Args) -> Json:
    """Share uploaded files in a channel or direct message, given by its id, with a comment."""
    files = [_uploaded(state, each) for each in _listed(args)]
    channel = state.channels.get(str(args.get("channel_id") or ""))
    if channel is None or state.team.bot_user not in channel.members:
        raise ApiError("channel_not_found")
    thread_ts = str(args.get("thread_ts") or "")
    if thread_ts and state.message(channel.id, thread_ts) is None:
        raise ApiError("invalid_thread_ts")
    message = state.add_message(channel.id, text=str(args.get("initial_comment") or ""), thread_ts=thread_ts)
    message.files = files
    state.changed()
    return {"files": [{"id": each.id, "title": each.name} for each in files]}


def _listed(args: Args) -> list[Any]:
    try:
        found = json.loads(str(args.get("files") or ""))
    except ValueError:
        raise ApiError("invalid_arguments") from None
    if not isinstance(found, list) or not found:
        raise ApiError("invalid_arguments")
    return found


def _uploaded(state: State, named: Any) -> File:
    found = state.files.get(str(named.get("id"))) if isinstance(named, dict) else None
    if found is None or found.content is None:
        raise ApiError("file_not_found")
    return found


FILE_METHODS: Mapping[str, Method] = {
    "files.getUploadURLExternal": Method(get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(complete_upload, ("files:write",)),
}
