"""The errors a client may see. What lives here: an SQLSTATE and a text that is safe to show. Nothing internal, ever.

Outcomes of an approval request (denied, expired, withdrawn) are not errors: see gateway.approvals.request.
SQLSTATEs: PostgreSQL manual, Appendix A.
"""


class GatewayError(Exception):
    """Carry `sqlstate` (5 characters), `message` and `hint`; all three go to the client as they are."""

    sqlstate = "XX000"

    def __init__(self, message: str, *, hint: str = "", sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if sqlstate is not None:
            self.sqlstate = sqlstate


class ProtocolViolation(GatewayError):
    """The peer broke the protocol; the connection can't go on."""

    sqlstate = "08P01"


class NotUtf8(ProtocolViolation):
    """A text is not UTF-8. `found`: its bytes from the first bad one on, 4 at most; PostgreSQL names them in its own error."""

    sqlstate = "22021"

    def __init__(self, found: bytes) -> None:
        super().__init__('invalid byte sequence for encoding "UTF8"')
        self.found = found


class AuthenticationFailed(GatewayError):
    """The token, the user name or the target was refused. One text for all that would tell an attacker apart; `detail`, where there
    is more to say, is for log and audit."""

    sqlstate = "28000"

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.detail = detail


class NotPermitted(GatewayError):
    """Policy or a reviewer said no."""

    sqlstate = "42501"


class DeniedAgain(NotPermitted):
    """People have denied the like lately, and the gateway says so in their place."""


class SettingRefused(GatewayError):
    """A startup parameter is not on the list of settings that clients may choose (interface.md)."""

    sqlstate = "22023"


class TargetUnavailable(GatewayError):
    """The target can't be reached (08006) or went away under a session (57P01)."""

    sqlstate = "08006"


class StoreUnavailable(GatewayError):
    """The gateway's own store is away: nothing held is released and nothing new is held."""

    sqlstate = "57P03"


class TooManyRequests(GatewayError):
    """The requester has as many requests waiting as `limits` allows."""

    sqlstate = "53400"


class PolicyError(GatewayError):
    """policies.yaml is wrong. `problems` are complete lines, `file:line: message`."""

    sqlstate = "F0000"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ChatRefused(Exception):
    """A chat platform refuses our credentials at start; the text says which setting to look at."""
