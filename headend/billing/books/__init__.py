"""The books: what every account owes and has paid, double-entry and append-only.

One idea carries it. An entry says how much more (or less) the customer owes, its *change*; what stands against it,
revenue, tax, cash, makes it balance. On the customer's side an entry is booked to the receivable while something is
owed, and to what is prepaid beyond that: both follow from the balance alone. Which items a payment pays follows from
the entries as well. So nothing has to be allocated, applied or carried over by an entry of its own, and nothing can be
forgotten.
"""
