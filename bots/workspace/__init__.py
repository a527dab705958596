"""A local workspace that speaks the Slack Web API and enforces its limits: for the demo and the tests."""
