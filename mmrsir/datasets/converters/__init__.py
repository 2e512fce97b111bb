"""Converters: from data sets as their makers distribute them to what the libraries read."""
