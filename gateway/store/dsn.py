"""What is wrong with a DSN of the store that asyncpg can't use, in words of our own: asyncpg's may quote a part of the password.

What lives here: which file or parameter it is. What must not: a server that answers or does not (gateway.failures).
"""

import os
import ssl
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from gateway.failures import in_words

#: Parameters that name files.
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
#: The whole of it, for a hint.
COMPLETE = "a whole one is in docs/deploy.md, The store"
_NO_CA = "sslrootcert is missing: this sslmode needs the file of the CA that signed the server's certificate"
_MODES = "sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"
_UNREADABLE = "it is no DSN: signs like @ : / ? # in its password are written as %40 %3A %2F %3F %23"
#: What asyncpg's text begins with -> what it means.
_SAID = (("root certificate file", _NO_CA), ("cannot determine location", _NO_CA), ("`sslmode` parameter", _MODES))
_WRONG_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError, ssl.SSLError)


def unusable(dsn: str, error: Exception) -> str:
    """Which file or parameter of the DSN is wrong, without any secret; "" where the DSN is not to blame."""
    if isinstance(error, _WRONG_FILE) and not isinstance(error, ssl.SSLCertVerificationError):
        return _wrong_file(dsn, error)
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return next((words for begins, words in _SAID if str(error).startswith(begins)), "it is no usable DSN")
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return "sslmode asks for TLS, and its server offers none"
    return _UNREADABLE if isinstance(error, ValueError) else ""


def _wrong_file(dsn: str, error: Exception) -> str:
    named = [(name, values[-1]) for name, values in parse_qs(urlsplit(dsn).query).items() if name in _FILES]
    for name, file in named:
        if not (Path(file).is_file() and os.access(file, os.R_OK)):
            return f"{name}: {file} is no file that this user can read"
    if named and isinstance(error, ssl.SSLError) and error.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
        return f"{named[0][0]}: {named[0][1]} holds no PEM certificate"
    return f"{' or '.join(name for name, _ in named)}: {in_words(error)}" if named else ""
