"""The media backend that has rtpengine do the work, over its ng protocol."""
