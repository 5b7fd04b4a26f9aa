"""Withdraw: what must no longer be requested or published, entry by entry."""
