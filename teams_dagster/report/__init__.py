"""What people look at: pictures, and one self-contained HTML page. Plain values in, PNG bytes and HTML text out."""
