"""What every room that keeps something in DynamoDB needs: one table, its requests, its failures."""
