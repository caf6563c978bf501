"""What a tariff makes of reads: lines and bills, for many customers at once."""
