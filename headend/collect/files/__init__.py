"""Files of reads: CSV, NEM12 and NEM13, Green Button. From bytes to journal messages, and the watched folder."""
