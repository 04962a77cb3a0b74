"""Which metric of a data set predicts what a student that is trained on it will be worth."""
