"""Which source columns each output column of a result carries."""

from gateway.sql.catalog import Catalog


def lineage(
    _sql: str, _catalog: Catalog | None, _search_path: tuple[str, ...], _width: int
) -> list[frozenset[str]] | None:
    """None: it can't be resolved."""
    return None
