"""HTTP: one request out, one response in. The only package that imports urllib3.

Read in this order: `envelope` (the request body), `sender` (the request), `fast_path` (how most
requests travel), `channel` (the same without waiting), `ordinary_response` (what both of them
read), `response` (what came back). `proxy` and `tls` decide how connections are made,
`compression` shrinks bodies, and `urllib3_seam` holds everything that relies on how urllib3 works
inside.
"""
