"""May a session's connection to its target serve another session of the same person? Pure.

Only where nothing ran in it that DISCARD ALL may not take back: what loaded libraries, procedural languages and extensions keep (the
connections of dblink, plperl's %_SHARED), settings of names that PostgreSQL does not know (they are empty behind RESET ALL,
and not unknown again), the seed of random(). So only reads of tables by PostgreSQL's own functions count, SHOW, and what begins
and ends transactions. That something else ran is kept by the conversation (state.py), and asked when the client says goodbye
(ending.py).

What must not live here: how it is reset and given on (gateway/relay/spares.py).
"""

from typing import Final

from gateway.sql.functions import seeds
from gateway.sql.statement import Control, Statement, StatementClass

_QUIET: Final = frozenset({StatementClass.READ, StatementClass.HOUSEKEEPING})
_BLOCKS: Final = frozenset(
    {Control.BEGIN, Control.COMMIT, Control.ROLLBACK, Control.SAVEPOINT, Control.RELEASE, Control.ROLLBACK_TO}
)
#: Settings of one transaction, which BEGIN may say.
MODES: Final = frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"})


def leaves_nothing(statement: Statement) -> bool:
    """Is the target's session the same behind it as before, but for what DISCARD ALL resets?"""
    if not statement.classes <= _QUIET or seeds(statement):
        return False
    if StatementClass.HOUSEKEEPING in statement.classes and statement.control not in _BLOCKS and not statement.shows:
        return False
    if not {name for name, _ in statement.settings} <= MODES:
        return False
    return not any(
        (
            *(statement.names, statement.copies, statement.configures, statement.inner_tags, statement.unresolved),
            *(statement.spreads, statement.guarded, statement.temporary, statement.unsettles, statement.uncertain),
            *(statement.holdable, statement.untraced, statement.reason),
        )
    )
