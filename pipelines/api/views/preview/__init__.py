"""What `evolgrid preview` shows: rows side by side in the terminal, and as a page."""
