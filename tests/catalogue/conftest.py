"""How hypothesis runs here: what a machine under load makes slow is not a failure."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "protocell", deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("protocell")
