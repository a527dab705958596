"""A local workspace that speaks the Slack Web API and enforces its limits: for the demo and the tests.

    person at the page          workspace                                    app (slack_bolt)
        | click Approve             |                                              |
        |-------------------------->| payload from the stored message, signed      |
        |                           |---- POST events_url, or socket envelope ---->|
        |                           |<------------ 200 / ack within 3 s -----------|
        |                           |<------------ POST /api/chat.update ----------|
        |<---- the card changes ----| limits, tokens, scopes, rates checked        |

`Workspace` (workspace.py) is all that others need; `limits.check` tells whether Slack would take some blocks.
"""

from bots.workspace.limits import check
from bots.workspace.workspace import Workspace

__all__ = ["Workspace", "check"]
