package issued

// TokenPrefix starts every token that Ostiary issues.
const TokenPrefix = "gw1."
