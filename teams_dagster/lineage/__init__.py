"""Where a sample came from: trace, and the page that shows it."""
