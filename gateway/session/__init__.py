"""One client's conversation, pure: events in, effects out. Start with session.py."""
