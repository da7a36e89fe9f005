"""`tally gateway` 前置机: one process inside a hospital or an insurer whose systems will not sign.

It holds the key, the vault, what is under way and the offline reserve, and offers plain JSON over
HTTP to the tills of one house. See docs/guides/gateway.md.

Invariant: one `ref` of a caller is one bill, whatever breaks and however often it is asked for.
"""
