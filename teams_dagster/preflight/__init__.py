"""What is found out about the models of a project before money is spent on them."""
