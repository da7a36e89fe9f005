"""What asks a ledger over HTTP and believes nothing of the answer that it has not verified."""
