"""Results: of one row (`RowResult`), of all rows (`Results`), and where they go (`Output`)."""
