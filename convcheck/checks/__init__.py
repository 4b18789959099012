"""The questions: arrays in, frozen results out; nothing here prints."""
