"""What every member must agree on: pure rules, one folder a domain.

See docs/spec/contracts/README.md.
"""
