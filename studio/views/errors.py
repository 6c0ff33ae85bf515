"""A form that can't be trusted to come from our page: as a rule, the page is old or has no cookies."""

from django.shortcuts import render


def old_page(request, reason=""):
    """Django's CSRF_FAILURE_VIEW."""
    return render(request, "403_csrf.html", status=403)
