"""Time as a business counts it: durations now; working hours, holidays and zones as they are built."""
