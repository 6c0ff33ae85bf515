"""The character NUL in addresses. No row holds it, and PostgreSQL refuses to look for it."""

from django.http import Http404


def nul_middleware(get_response):
    """An address with it is nobody's; out of a query it is taken."""

    def answer(request):
        if "\0" in request.path_info:
            raise Http404("No address has the character NUL in it.")
        request.META["QUERY_STRING"] = request.META.get("QUERY_STRING", "").replace("%00", "")
        return get_response(request)

    return answer
