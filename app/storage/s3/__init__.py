"""``s3://BUCKET/PREFIX``: a storage in S3, and in whatever speaks like it."""

from app.storage.s3.bucket import S3Storage, Sign
from app.storage.s3.opening import connect, opened

__all__ = ["S3Storage", "Sign", "connect", "opened"]
