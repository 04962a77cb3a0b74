"""Chat templates without injection: content is encoded apart from the template's control tokens."""
