"""One file a widget. A widget shows values and posts messages; it knows nothing above it."""
