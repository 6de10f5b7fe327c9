"""Forecast of a batch's tokens and cost before it is sent: layout, past replies, confirmation."""
