"""Chat fronts: they show approval requests and carry decisions; they never see a wire (gateway.wire, session, relay)."""
