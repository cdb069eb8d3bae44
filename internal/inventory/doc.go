// Package inventory puts together every credential of every source that lets somebody into a cluster, by which mechanism,
// for whom, with what power and until when; and answers questions about them: what works of one person, who gets in by
// two ways, what is used that nobody issued, who is cut off when a CA is exchanged.
//
// It judges facts that were gathered before, live or long ago, and asks nobody. What it cannot know it says: a credential
// that was made with a stolen key and not used yet, a person who never signed in, and whatever was done at a time that no
// record tells of. "Never seen" always means within the record's time, which every credential carries.
package inventory
