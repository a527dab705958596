"""Approval requests: states and transitions (request, pure), the desk where people decide, the outbox of cards."""
