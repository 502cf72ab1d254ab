"""Reports as PDFs: what stands on their pages, and the process of its own in which typst sets them."""
