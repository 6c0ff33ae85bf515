from django.apps import AppConfig


class DiffuserApiConfig(AppConfig):
    name = "diffuser_api"
    verbose_name = "Cartolina"

    def ready(self):
        # They register the system checks.
        from diffuser_api.catalogue import checks as of_catalogue  # noqa: F401
        from diffuser_api.operations import checks  # noqa: F401
