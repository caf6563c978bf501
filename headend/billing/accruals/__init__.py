"""Accruals: what billing periods that run cost so far, and will have cost at their end, of many accounts at once.

An accrual is what the engine that makes statements makes of the reads there are, without the statement: nothing is
looked up or digested that only paper needs. For the forecast the same reads, the missing ones filled with what is
expected, three times, are rated as well: so tiers, TOU periods, demand, allowances and standing charges count as they
will. What is said of the accounts is said in columns, and accruals are made of it where somebody asks for them one by
one.

From the whole to its parts: `accounts` puts accruals together from the `segments` that `rating` makes of what was
`measured`, a `quantity` being what was read and, by the `forecast`, will be. What an `accrual` says is kept as a
`document`.
"""
