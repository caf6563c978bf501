"""From the field to the journal: decode just enough to acknowledge, make it durable, then say so."""
