"""Identity tokens of others (OpenID Connect): verified here, and nothing of them believed before.

Pure but for fetching keys: bytes and times in, claims or errors.MintRefused out.
"""
