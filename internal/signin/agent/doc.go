// Package agent is a small process for each user that keeps keys, certificates and refresh tokens in memory, so that none of
// them is ever on a disk. It renews them without a word, lets one of many programs sign a person in while the others wait,
// and ends when the last session has ended.
//
// It listens on a Unix socket in a folder that only its user can enter, and asks the system who is at the other end. Whoever
// runs programs as the same user can ask it as kubectl does: it keeps secrets from disks, backups, core dumps and other
// users, not from the user's own programs. kubectl needs the key of a certificate to use it, so the key of the current
// certificate, which ends within the hour by default, leaves the agent for the pipe to kubectl; refresh tokens never leave.
package agent
