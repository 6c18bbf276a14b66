"""``aws-secrets:ID``: users and grants in one secret, in the shape that PyPICloud 1 keeps it."""

from app.access.aws_secrets.opening import connect

__all__ = ["connect"]
