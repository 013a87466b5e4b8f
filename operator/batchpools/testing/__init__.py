"""Public test doubles: builders, FakeKube, a fake clock. Contract tests hold them to the real things; nothing imports it."""
