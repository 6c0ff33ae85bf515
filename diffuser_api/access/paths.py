"""What is put right in a request's URL, before all later middleware and the URLs see it.

The API accepts its URLs also without the last slash: a redirect would lose the request's body. The character
NUL is in no row, and PostgreSQL refuses to look for it.
"""

from django.http import Http404


def path_middleware(get_response):
    """Adds the missing slash, and takes NUL out of the query. A path with NUL is nobody's.

    ``internal_middleware`` comes before: the service's own calls are sent with the slash.
    """

    def answer(request):
        if "\0" in request.path_info:
            raise Http404("No address has the character NUL in it.")
        request.META["QUERY_STRING"] = request.META.get("QUERY_STRING", "").replace("%00", "")
        if request.path_info.startswith("/api/") and not request.path_info.endswith("/"):
            request.path_info += "/"
            request.path += "/"
        return get_response(request)

    return answer
