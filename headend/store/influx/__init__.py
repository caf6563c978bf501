"""InfluxDB 2 as the interval store: the site database has what is new, InfluxDB all of it."""
