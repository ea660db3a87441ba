"""The sections of the image screen, one file each: values in, rows out. Nothing here draws, asks or decides."""
