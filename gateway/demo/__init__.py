"""Everything on one machine with no accounts: embedded PostgreSQL, a loopback issuer, sample data, the scripted tour."""
