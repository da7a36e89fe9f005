"""What members' programs are told of members: so far, their events."""
