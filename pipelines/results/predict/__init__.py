"""Measures how well metrics of a data set predict the performance of students trained on it."""
