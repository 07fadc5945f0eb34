"""What syncd tells about itself: metrics, health, logs. It observes and never decides anything."""
