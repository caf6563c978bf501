"""What a tariff says: its schema, as files and as changes between two versions."""
