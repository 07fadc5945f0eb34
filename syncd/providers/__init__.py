"""Cloud APIs: each provider turns what its cloud says into normalised resources."""
