"""A call of the API without its last slash is the same call: a redirect would lose what was sent."""


def slash_middleware(get_response):
    """All that follow see the address with its slash. The service's own calls, judged before, have theirs."""

    def answer(request):
        if request.path_info.startswith("/api/") and not request.path_info.endswith("/"):
            request.path_info += "/"
            request.path += "/"
        return get_response(request)

    return answer
