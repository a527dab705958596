"""Who is connecting: claims of a verified token (claims, pure), and the issuers that sign them (issuers, entra)."""
