"""Where a secret stands in a cell or a log line: alone, in sentences, JSON, CSV and URLs, glued to words.

What lives here: templates in which § is the secret, and the function that fills one.
"""

import random

#: A text and the secret in it.
Made = tuple[str, str]

JSON_PLACES = (
    "§", "§", "§", "url: §", "it is §", '{"dsn": "§", "pool": 5}', "DATABASE_URL=§", "export DATABASE_URL='§'", "17,§,2024-05-01",
    "2024-05-01T10:00:00Z INFO connect §", "(§)", "`§`", "§\n", "old:\t§\tnew", "set to \"§\" by ann",
)  # fmt: skip

KEY_PLACES = (
    "§", "§", "§", "key: §", "the new key is §.", "please use § until Monday, then ask Bob", '{"key": "§", "id": 17}', "id,key,owner\n17,§,ann",
    "KEY=§", "export KEY='§'", "(§)", "<§>", "[§]", "`§`", "old=§;new=none", "https://api.example.com/v1?key=§&page=2",
    "Authorization: Bearer §", "2024-05-01T10:00:00Z WARN rejected §", "x\t§\ty", "'§',", "key§", "rotated:§,done", "§\n", "/v1/§/end",
    '"§\\n"', "§ (revoked)", "§old", "key§old", "_§_", "1§", "key%3D§%26page", "**§**", "#§", "Schlüssel§ä",
)  # fmt: skip


def place(rng: random.Random, secret: str, places: tuple[str, ...]) -> Made:
    return rng.choice(places).replace("§", secret), secret
