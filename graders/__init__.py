"""The instructor's side: release, collect, grade, give feedback, export."""
