"""Results of one row (`RowResult`) and of all rows (`Results`), and their destination (`Output`)."""
