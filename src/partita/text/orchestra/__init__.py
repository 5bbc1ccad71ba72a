"""What instruments and parts are called in six languages: one table for captions that are made and that are read."""
