"""Headers: what guards every answer, whoever gives it."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

NOT_KEPT = "no-store"
"""The ``Cache-Control`` of every answer that has no other: it may be for one user."""

CORRELATION = "X-Correlation-Id"
"""The header of every answer, also of one that opens a socket: what its lines in the log have."""
CORRELATION_FIELD = CORRELATION.lower().encode()
"""The same as ASGI has it."""
