"""Teams: cards and commands over the Bot Connector, with an HTTP edge of our own.

Teams -> Bot Connector --POST /api/messages--> edge (JWT, then body) --> app --> desk
outbox --> sender --> transport (botbuilder) --> Bot Connector --> Teams
"""
