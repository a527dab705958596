"""What replaces a secret: detectors (what it looks like), masks (what is put there), rows, copy, diagnostics. Pure."""
