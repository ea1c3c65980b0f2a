"""The aggregator: records, published figures, tables and the leaderboard. Needs pandas, never torch."""
