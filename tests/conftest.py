"""What holds for all tests: none asserts a time, so hypothesis' bound on one example's time is off."""

from hypothesis import settings

settings.register_profile("batchpools", deadline=None)
settings.load_profile("batchpools")
