"""What all other packages use: checks of arguments, errors for users, files, encodings."""
