"""Starting points for study files: commented templates, filled in with what is known of data, models and machine."""
