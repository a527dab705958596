"""The gateway's own pages: linking a chat account, and approving after a fresh sign-in."""
