"""What measures the pictures, and never chooses one: a reader of faces, limbs, colours, and the table."""
