"""What is measured of a pair."""
