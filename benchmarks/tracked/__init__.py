"""What is tracked over commits: calls whose times asv takes and whose instructions are counted."""
