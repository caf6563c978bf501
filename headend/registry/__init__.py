"""Who and what there is: accounts, usage points, meters, gateways, agreements, users."""
