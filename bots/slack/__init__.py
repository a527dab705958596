"""Slack: bolt app (app), cards as Block Kit (blocks, pure), the sender of the outbox (sender)."""
