"""The papers' tables and figures: their studies, as they are and in miniature."""
