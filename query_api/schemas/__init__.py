"""The shapes of the API's answers; OpenAPI is made from them."""
