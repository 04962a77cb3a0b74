"""How instructions are evolved."""
