"""What a user can ask for, one verb family a file."""
