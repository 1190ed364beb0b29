"""Models on the Hugging Face Hub: what of a run is shared, its card, upload and download."""
