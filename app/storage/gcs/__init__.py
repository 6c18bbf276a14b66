"""``gs://BUCKET/PREFIX``: Google Cloud Storage, through its JSON API."""

from app.storage.gcs.opening import connect

__all__ = ["connect"]
