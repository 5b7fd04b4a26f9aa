"""Target embed: image features and prompt features of a vision-language model."""
