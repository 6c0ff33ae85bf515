"""Security headers for browsers, beside those that Django sets."""

NEVER = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# Scripts from our own files only. Styles also inline: the admin's pages carry some.
# Pictures also from data: (the admin's icons) and blob: (a photo shown before it is sent).
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    f"object-src 'none'; {NEVER}"
)
PERMISSIONS_POLICY = "camera=(self), geolocation=(), microphone=(), payment=(), usb=()"


def headers_middleware(get_response):
    def answer(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        # Pages of other sites can't show our files, nor learn from an error which ones there are.
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if request.path_info.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")  # answers speak of one person's jobs
        return response

    return answer
