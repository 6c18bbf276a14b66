"""Telling others of what changed: webhooks."""
