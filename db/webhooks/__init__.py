"""Webhooks as rows: subscriptions, deliveries and their attempts."""
