"""Fold kills and incidents into reports, and render them as text, Markdown, JSON and HTML."""
