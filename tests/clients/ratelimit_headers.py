"""Reads a list of header sets as JSON on stdin, and prints what PyPI's retryheader makes of each."""

import json
import sys

import retryheader


def limits(text):
    items = retryheader.parse_ratelimit(text)
    return [{"name": item.policy, "remaining": item.remaining, "reset": item.window} for item in items]


def policies(text):
    items = retryheader.parse_ratelimit_policy(text)
    return [{"name": item.name, "limit": item.quota, "window": item.window} for item in items]


def parse(headers):
    return {
        "limits": limits(headers["RateLimit"]) if "RateLimit" in headers else None,
        "policies": policies(headers["RateLimit-Policy"]) if "RateLimit-Policy" in headers else None,
        "delay": retryheader.delay_from_headers(headers),
    }


print(json.dumps([parse(headers) for headers in json.load(sys.stdin)]))
