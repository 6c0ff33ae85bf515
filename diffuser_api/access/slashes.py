"""The API accepts its URLs also without the last slash. A redirect would lose the request's body."""


def slash_middleware(get_response):
    """Adds the missing slash, so that all later middleware and the URLs see it. ``internal_middleware`` comes
    before: the service's own calls are sent with the slash."""

    def answer(request):
        if request.path_info.startswith("/api/") and not request.path_info.endswith("/"):
            request.path_info += "/"
            request.path += "/"
        return get_response(request)

    return answer
