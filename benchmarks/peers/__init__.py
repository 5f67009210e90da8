"""Other people's systems, over the same links and in the same run as ours."""
