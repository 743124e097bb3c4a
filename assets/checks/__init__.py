"""Asset checks: each gates money or trust and says what to do. They read storage, so they can run alone."""
