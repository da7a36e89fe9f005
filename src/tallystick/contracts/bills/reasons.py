"""Why an act or a body about bills is refused: one word each, agreed by all members.

Invariant: append-only; a word is never reused and never changes its meaning. What people read is
in `texts.py`, complete by test. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.protocol.errors import Reason


class BillsReason(Reason):
    """In groups, in the order in which the rules ask."""

    # Catalogue: types and codes.
    TYPE_UNKNOWN = "bills.type_unknown"
    TYPE_EXPIRED = "bills.type_expired"
    CODE_TYPE_MISMATCH = "bills.code_type_mismatch"
    TYPE_RULES = "bills.type_rules"
    VALID_FROM = "bills.valid_from"

    # Whoever or whatever it is about.
    ORG_UNKNOWN = "bills.org_unknown"
    UNCHANGED = "bills.unchanged"

    # Allotment of numbers.
    ALLOC_OVERLAP = "bills.alloc_overlap"
    ALLOC_OUTSIDE_PARENT = "bills.alloc_outside_parent"
    ALLOC_WRONG_YEAR = "bills.alloc_wrong_year"
    ALLOC_LEVEL = "bills.alloc_level"
    ALLOC_FRAGMENTS = "bills.alloc_fragments"
    NOT_GRANTOR = "bills.not_grantor"
    NOT_UNUSED_TAIL = "bills.not_unused_tail"
    VOID_LIMIT = "bills.void_limit"
    NUMBER_NOT_ALLOCATED = "bills.number_not_allocated"
    NUMBER_USED = "bills.number_used"
    NUMBER_VOID = "bills.number_void"
    BLOCK_CLOSED = "bills.block_closed"
    BLOCK_SUSPENDED = "bills.block_suspended"

    # Issue.
    TIME_FUTURE = "bills.time_future"
    TIME_TOO_OLD = "bills.time_too_old"
    ISSUER_SUSPENDED = "bills.issuer_suspended"
    UNARCHIVED = "bills.unarchived"
    DEPOSIT_UNKNOWN = "bills.deposit_unknown"
    DEPOSIT_ENDED = "bills.deposit_ended"
    BIZCODE_CONFLICT = "bills.bizcode_conflict"

    # Reversal.
    REV_NOT_FOUND = "bills.rev_not_found"
    REV_OF_RED = "bills.rev_of_red"
    REV_EXCEEDS = "bills.rev_exceeds"
    REV_OTHER_ISSUER = "bills.rev_other_issuer"
    REV_PARTIAL_NOT_ALLOWED = "bills.rev_partial_not_allowed"
    REV_ENDED = "bills.rev_ended"
    REV_TOO_LATE = "bills.rev_too_late"
    REV_SETTLED = "bills.rev_settled"

    # Other acts on bills, and supervision.
    BILL_UNKNOWN = "bills.bill_unknown"
    OTHER_ISSUER = "bills.other_issuer"
    BILL_STATE = "bills.bill_state"
    ARCHIVED_BACK = "bills.archived_back"
    EXCEPTION_INVALID = "bills.exception_invalid"

    # The body of a bill, in the order of `content.py`.
    RULES_VERSION = "bills.rules_version"
    CURRENCY_NOT_ALLOWED = "bills.currency_not_allowed"
    RELATION_INVALID = "bills.relation_invalid"
    PARTY_ID_INVALID = "bills.party_id_invalid"
    TEXT_INVALID = "bills.text_invalid"
    DATE_INVALID = "bills.date_invalid"
    AMOUNT_FORMAT = "bills.amount_format"
    ITEM_LIMIT = "bills.item_limit"
    ITEM_UNKNOWN = "bills.item_unknown"
    DETAIL_ORPHAN = "bills.detail_orphan"
    EXTENSION_UNKNOWN = "bills.extension_unknown"
    NEGATIVE_LINE = "bills.negative_line"
    ZERO_LINE = "bills.zero_line"
    ZERO_TOTAL = "bills.zero_total"
    ROUNDING_LIMIT = "bills.rounding_limit"
    SUM_ITEMS = "bills.sum_items"
    SUM_DETAILS = "bills.sum_details"
    SUM_SOURCES = "bills.sum_sources"
    SUM_LIABILITY = "bills.sum_liability"
    CLASS_INVALID = "bills.class_invalid"
    SUM_CLASSES = "bills.sum_classes"
    SUM_INPATIENT = "bills.sum_inpatient"
    SUM_CHANNELS = "bills.sum_channels"

    # The two halves of a bill.
    BODY_MISMATCH = "bills.body_mismatch"

    # Holders.
    HOLDER_KEY = "bills.holder_key"
    BOUND_STALE = "bills.bound_stale"
    CONSENT_UNKNOWN = "bills.consent_unknown"
    HELPER_UNKNOWN = "bills.helper_unknown"
    REBIND_WAITS = "bills.rebind_waits"
    NOTHING_PENDING = "bills.nothing_pending"

    # Reimbursement.
    CLAIM_STATE = "bills.claim_state"
    CLAIM_NOT_CIRCULABLE = "bills.claim_not_circulable"
    CLAIM_TERM = "bills.claim_term"
    CLAIM_CONSENT = "bills.claim_consent"
    CLAIM_LOCKED = "bills.claim_locked"
    CLAIM_DUPLICATE = "bills.claim_duplicate"
    CLAIM_RANK = "bills.claim_rank"
    CLAIM_CAP = "bills.claim_cap"
    CLAIM_LIMIT = "bills.claim_limit"
    CLAIM_PAPER = "bills.claim_paper"
    CLAIM_UNKNOWN = "bills.claim_unknown"
    CLAIM_REASON = "bills.claim_reason"
    LOCK_NOT_OWNER = "bills.lock_not_owner"
    LOCK_EXPIRED = "bills.lock_expired"
    LOCK_TERM = "bills.lock_term"
    SETTLE_EXCEEDS_LOCK = "bills.settle_exceeds_lock"
    CLAW_EXCEEDS = "bills.claw_exceeds"
    PLAN_UNKNOWN = "bills.plan_unknown"
    PLAN_STATE = "bills.plan_state"
    PLAN_INVALID = "bills.plan_invalid"
    BILL_FROZEN = "bills.bill_frozen"
    BILL_REVERSING = "bills.bill_reversing"
    NOT_REVERSING = "bills.not_reversing"
    REV_LOCKED = "bills.rev_locked"

    # Paper and booking.
    REV_PAPER_LIVE = "bills.rev_paper_live"
    PAPER_LIVE = "bills.paper_live"
    PAPER_NONE = "bills.paper_none"
    PAPER_TYPE = "bills.paper_type"
    BOOK_DUPLICATE = "bills.book_duplicate"
    BOOK_EXCEEDS = "bills.book_exceeds"
    BOOK_UNKNOWN = "bills.book_unknown"

    # Accounting, archive, erasure, offline reserves, succession.
    ACCOUNT_GAP = "bills.account_gap"
    ACCOUNT_SUM = "bills.account_sum"
    ACCOUNT_STATE = "bills.account_state"
    ACCOUNT_CHILDREN = "bills.account_children"
    ACCOUNT_UNKNOWN = "bills.account_unknown"
    NOT_REVIEWER = "bills.not_reviewer"
    PERIOD_OPEN = "bills.period_open"
    PERIOD_CLOSED = "bills.period_closed"
    STOCK_LIMIT = "bills.stock_limit"
    MANIFEST_MISMATCH = "bills.manifest_mismatch"
    RETENTION = "bills.retention"
    HELD = "bills.held"
    ERASURE_UNKNOWN = "bills.erasure_unknown"
    ERASURE_COPIES = "bills.erasure_copies"
    OFFLINE_ONLY = "bills.offline_only"
    SUCCESSION_INVALID = "bills.succession_invalid"

    # Supervision of one bill.
    FINDING_UNKNOWN = "bills.finding_unknown"
