"""A smart utility-meter head-end: reads in, validated and estimated, billed to the cent."""
