"""``azure://CONTAINER/PREFIX``: Azure Blob Storage, by block blobs."""

from app.storage.azure.opening import connect

__all__ = ["connect"]
