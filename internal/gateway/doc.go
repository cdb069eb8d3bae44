// Package gateway is the data path: a client's request goes in, and either a refusal comes out or the request goes on
// to an API server under the identity that was decided.
//
// gateway.go tells the story of one request from top to bottom. What it defends against, and where:
//
//   - forged identity headers in any spelling: stripped at the door and again as the last thing before the wire
//     (forward.go), in every mode, before our own are set;
//   - headers dropped through "Connection: X-Remote-User": ours are set after hop-by-hop removal (forward.go);
//   - a request that nobody was authenticated for: the last step refuses to send without an identity (forward.go);
//   - request targets that two parsers read differently: refused, and what goes on is byte for byte what was decided
//     upon (target.go);
//   - doubled credentials, unknown impersonation headers, upgrades to anything but WebSocket and SPDY/3.1: refused
//     (screen.go);
//   - unauthenticated HTTP/2 clients that reset streams rapidly: their connection ends after the answer (respond.go);
//   - answers that say why: the client learns the status, the log learns the cause (respond.go).
//
// The package knows no mechanism and no configuration; its ports are its own interfaces.
package gateway
