"""``dynamodb://REGION/TABLE-PREFIX``: a cache in one table of DynamoDB."""

from app.cache.dynamodb.cache import DynamoDBCache
from app.cache.dynamodb.opening import connect

__all__ = ["DynamoDBCache", "connect"]
