"""``dynamodb://REGION/TABLE-PREFIX``: users, grants and the ledger in one table of DynamoDB."""

from app.access.dynamodb.opening import DynamoDBAccess, connect

__all__ = ["DynamoDBAccess", "connect"]
