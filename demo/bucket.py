"""The production bucket, as an onlooker sees it; its requests are not the site's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pictures import Picture

BUCKET = "media"
ACCESS_KEY = "demo"
SECRET_KEY = "demo-secret"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is needed to talk to the server's one bucket."""

    endpoint: str
    metrics: str

    def client(self) -> Any:
        """A plain boto3 client."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(retries={"max_attempts": 0}, read_timeout=10),
        )

    def fill(self, pictures: Sequence[Picture]) -> None:
        """With pictures."""
        client, kind = self.client(), {"Bucket": BUCKET, "ContentType": "image/jpeg"}
        for picture in pictures:
            client.put_object(**kind, Key=picture.name, Body=picture.jpeg)

    def takes_requests(self) -> bool:
        """Whether a whole write goes through, not only the port."""
        client = self.client()
        try:
            client.put_object(Bucket=BUCKET, Key=".ready", Body=b"ready")
            client.delete_object(Bucket=BUCKET, Key=".ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    def digest(self) -> tuple[str, int]:
        """SHA-256 over every key and ETag (an MD5 of the bytes); how many there are."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        entries = [entry for page in pages for entry in page.get("Contents", ())]
        lines = sorted(f"{entry['Key']}\0{entry['ETag']}\n" for entry in entries)
        return hashlib.sha256("".join(lines).encode()).hexdigest(), len(entries)

    def requests(self, methods: str = "GET|PUT|POST|DELETE") -> int:
        """The server's own count of S3 requests (of which HEAD counts as GET)."""
        with urlopen(self.metrics, timeout=10) as answer:
            text = answer.read().decode()
        line = rf'^SeaweedFS_s3_request_total{{.*?type="(?:{methods})".*?}} ([\d.e+]+)$'
        return sum(int(float(count)) for count in re.findall(line, text, re.MULTILINE))

    def writes(self) -> int:
        """How many of them would change it."""
        return self.requests("PUT|POST|DELETE")
