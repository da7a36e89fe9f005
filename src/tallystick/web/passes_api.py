"""The entry by which an organisation ends one of its passes at this server.

Invariant: a pass ends no pass: whoever asks has signed the request. See docs/spec/requests.md.
"""

from __future__ import annotations

from starlette.responses import Response

from tallystick.client.passes import Revocation
from tallystick.protocol.errors import Rejected
from tallystick.web.endpoint import Access, Ask, Endpoint, answer
from tallystick.web.reasons import WebReason
from tallystick.web.revoked import Revoked


def endpoints(revoked: Revoked) -> tuple[Endpoint, ...]:
    """For `web.app.make_app`."""

    def revoke_pass(ask: Ask) -> Response:
        """End a pass of the organisation that signs; once this is answered no worker takes it."""
        caller = ask.caller
        if caller.kind != "member" or caller.pass_id:
            raise Rejected(WebReason.FORBIDDEN, "a member's operating key ends its passes")
        revoked.revoke(caller.org, ask.record.id, ask.service.clock())
        return answer(ask.record)

    return (
        Endpoint(
            *("POST", "/api/v1/passes/revoked", revoke_pass, "End a pass at this server"),
            Access.SIGNED,
            body=Revocation,
            answer=Revocation,
            tag="passes",
        ),
    )
