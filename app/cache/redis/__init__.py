"""``redis://HOST/DATABASE``: Redis and Valkey, one server or a cluster."""

from app.cache.redis.opening import connect

__all__ = ["connect"]
