"""HTTP: who may send a request, how its body is read, and how an error is reported."""
