"""Messages: what a notice holds -> Chinese words that a person understands, in text and HTML."""
