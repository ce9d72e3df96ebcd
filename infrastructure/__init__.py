"""What runs the system on AWS, and the checks of it."""
