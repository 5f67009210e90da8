"""What a text took and what is known of it: calls, bytes, times, and the counts of its audits."""
