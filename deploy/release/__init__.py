"""Makes a release: wheel, sdist, bill of materials and chart, the same bytes wherever they are made (ADR 0031)."""
