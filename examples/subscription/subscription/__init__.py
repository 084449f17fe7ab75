"""A subscription: charged every month for as long as the customer likes it, and what Finance is told of all of them."""
