"""A small server, and its description as a service."""

from __future__ import annotations

import sys
from typing import Any

# Small, so that it starts in a moment: answers 200 to whoever has the key, and to all if there is none.
SMALL = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        key = os.environ.get("KEY")
        right = key is None or self.headers.get("Authorization") == "Bearer " + key
        self.send_response(200 if right else 401)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "small"}]}')
    def log_message(self, *_):
        pass
print("small server", flush=True)
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Answer).serve_forever()
"""


def small(**more: Any) -> dict[str, Any]:
    """The small server as a service that is looked after closely."""
    fields = {
        "name": "llm",
        "program": sys.executable,
        "arguments": ["-S", "-c", SMALL, "{host}", "{port}"],
        "api_key_variable": "KEY",
        "health_every_s": 0.2,
        "backoff_s": 0.1,
        "stop_s": 1,
        "start_timeout_s": 60,
    }
    return fields | more
