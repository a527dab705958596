"""What a policy asks of the settings: a rule that could never be met is an error at start, not a surprise at a click. Pure."""

from gateway.policy.model import Policy
from gateway.settings import Web


def missing(policy: Policy, web: Web | None) -> list[str]:
    """A sentence for each setting that the policy needs, with the rule that needs it."""
    if web is None:
        rules = [rule.name for rule in policy.rules if rule.hold is not None and rule.hold.approve_via == "web"]
        return [f'rule "{name}": approve_via: web needs {_NEEDED}' for name in rules]
    issuers = {each.issuer for each in policy.issuers}
    if web.issuer and web.issuer not in issuers:
        return [f"HOOP_WEB_ISSUER: {web.issuer} is none of the policy's issuers: {', '.join(sorted(issuers))}"]
    if not web.issuer and len(issuers) > 1:
        return [
            "HOOP_WEB_ISSUER: missing, and the policy has more than one issuer: name the one that people sign in at"
        ]
    return []


def variables(policy: Policy) -> set[str]:
    """The environment variables that the passwords of its targets are read from."""
    secrets = [each for target in policy.targets.values() for each in (target.password, target.reader_password)]
    return {each.env for each in secrets if each is not None and each.env is not None}


_NEEDED = "HOOP_WEB_CLIENT_ID, HOOP_WEB_CLIENT_SECRET and HOOP_PUBLIC_URL (a client of your issuer; README, Signing in)"
