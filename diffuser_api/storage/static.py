"""The files of the pages: styles, scripts, fonts. They come with the code."""

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage


class StaticFiles(StaticFilesStorage):
    """Django's own keeps its address from before the first request, which says the site's path."""

    @property
    def base_url(self) -> str:
        return settings.STATIC_URL
