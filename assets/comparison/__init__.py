"""The policy beside others: what is compared, what it will ask, what is trained for it, what it found."""
