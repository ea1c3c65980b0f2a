"""The one error type of the aggregator that reaches users."""


class ResultsError(Exception):
    """A record, table or figure that is wrong: the message names the file or key and says what to do."""
