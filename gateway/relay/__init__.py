"""The thin shell: sockets, TLS, back-pressure. It performs the effects of gateway.session and decides nothing."""
