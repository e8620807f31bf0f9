"""What turns payloads into samples and back."""
