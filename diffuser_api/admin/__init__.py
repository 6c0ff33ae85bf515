"""The editors' desk and what the operator sees, one module for each page."""

from diffuser_api.admin import actions, clients, jobs, loras, places  # noqa: F401  registers their models
