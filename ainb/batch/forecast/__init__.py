"""What a batch will take and cost, before it is sent: layout, forecast, past replies, confirmation."""
