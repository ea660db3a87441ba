"""What each stage of a pipeline does."""
