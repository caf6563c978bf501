"""How the fleet is doing: completeness, silence, gateways, what is in quarantine."""
