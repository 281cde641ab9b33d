"""The requests and items that the sink keeps, and the queries over them."""
