from django.apps import AppConfig


class DiffuserApiConfig(AppConfig):
    name = "diffuser_api"
    verbose_name = "Cartolina"

    def ready(self):
        from diffuser_api.operations import checks  # noqa: F401  registers the system checks
