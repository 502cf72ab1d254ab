"""The files that copies of a team begin with, as JSON Lines or Parquet; `docs/warehouse.md` says how to read them."""

from streams.bootstrap.files import FORMATS, ExtraMissing, Format, check_installed, media_type_of, write

__all__ = ["FORMATS", "ExtraMissing", "Format", "check_installed", "media_type_of", "write"]
