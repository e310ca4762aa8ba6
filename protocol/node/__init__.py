"""The hospital's node: reads chain and content, and does the next thing that its hospital owes a job."""
