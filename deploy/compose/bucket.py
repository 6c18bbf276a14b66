"""Make the bucket of docker-compose.yml where it is not there yet.

python bucket.py PYPICLOUD_TOML
"""

import sys
import tomllib
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main(settings: Path) -> None:
    """Make it; whoever made it before was right too."""
    chosen = tomllib.loads(settings.read_text())
    s3 = chosen["s3"]
    client = boto3.client(
        "s3",
        endpoint_url=s3["endpoint_url"],
        region_name=s3["region"],
        aws_access_key_id=s3["access_key_id"],
        aws_secret_access_key=s3["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 8}),
    )
    bucket = chosen["storage"].removeprefix("s3://").partition("/")[0]
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("BucketAlready"):
            raise
    finally:
        client.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
