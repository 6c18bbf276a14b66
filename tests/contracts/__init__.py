"""The contracts stand in app.testing."""
