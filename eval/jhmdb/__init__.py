"""JHMDB: the joints of people, by label propagation with a frozen encoder."""
