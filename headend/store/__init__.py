"""Where reads rest: the journal of what arrived, the store of what stands, the history of what stood."""
