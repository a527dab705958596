"""What a running gateway does beside its sessions; gateway.app puts the parts together."""
