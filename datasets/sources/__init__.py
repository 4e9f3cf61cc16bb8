"""Data from elsewhere: an address of the web, an S3-compatible bucket, a folder of the server.

`origins` checks what is asked at the doors and is light; the rest runs in the background worker.
"""
