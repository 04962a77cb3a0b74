"""What students are asked after training, how it is graded, and the numbers that come of it."""
