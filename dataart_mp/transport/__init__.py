"""HTTP: one request out, one response in. The only package that imports urllib3.

Read in this order: `envelope` (the request body), `sender` (the request), `fast_path` (how most
requests travel), `response` (what came back). `proxy` and `tls` say how connections are made.
"""
