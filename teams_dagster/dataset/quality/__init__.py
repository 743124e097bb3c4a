"""What must be true of stored tables, chains, texts and generations: functions of files that say what is wrong."""
