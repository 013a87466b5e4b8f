"""Clock, metrics in one table, structured logging. It observes and decides nothing."""
