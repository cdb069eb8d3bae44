// Package chaos proves that revocation holds across replicas while everything that they stand on is taken away from them.
//
// TestRevocationsHold runs three replicas of the gate, the built program, over three members of etcd, all of them processes of
// their own on machines of their own (package network), in front of a real kube-apiserver. Persons with a static token, a JWT
// and a certificate are shut out through one replica or another, as a whole or one credential of theirs, used through all
// replicas the moment that the answer is there, and let in again. Meanwhile replicas are stopped, killed and cut off, and so are the
// members of etcd; history is compacted, wires and members are slow. What happened is a History, and Check tells whether it
// can be.
//
// # The model
//
// Each person's history is checked by porcupine, for linearizability, against a specification in which a revocation goes
// through phases: it begins when its request is sent, it stands when the answer is there, its end begins when that request is
// sent, and is done when that answer is there. These are events of one moment; a use of a credential has a beginning and an
// end. The specification says of a use, at some moment between the two:
//
//   - It is accepted only if no revocation that covers the credential stands. So no accept may begin after the answer to a revoke: the
//     promise. A use that is under way when the answer comes may go either way.
//   - It is refused only if one that covers it has begun, stands, or is being lifted. So nothing is refused before a revoke was asked for,
//     nor after the answer to a lift.
//   - Between beginning and answer it may hold at one replica and not yet at another, but no replica takes back what it did: once
//     it refused, it refuses until the lift begins; once it admitted while that is under way, it admits. Restarts change nothing
//     about that. (Where two revocations may be the reason of a refusal, nothing is concluded from it.)
//
// A gate that has not been ready since its start may not have the keys of the provider yet. What it says of an ID token with 401 until
// then is no event: it says nothing about revocations. Accepts always are.
//
// An answer of 503, or none, is not an event: a replica that does not know says so, and that is always right. How often it happens is
// printed.
//
// A revoke of which nobody knows what came of it (its replica was killed, its answer lost) has begun and may hold or not, until the
// test knows better. Once whoever had it in hand is gone, a later change that came through proves that it cannot be written any
// more, since every change is on condition of the one before; if it is on record then, it stands everywhere from the moment at
// which the later change did, and if it is not, it never happened, which the model takes only if nobody was ever refused by it.
// Where the replica lives and may still have it in a buffer, the person is left alone, and the model keeps both ways open.
//
// At the end, with everything mended, every credential is used everywhere once more, which is an event like any other, and every
// revocation and lift that was acknowledged has to be on record as it was acknowledged. Streams that are open when somebody is
// shut out have to end within a second of an answer that says that the change is complete, and within 5.5 seconds of one that
// says that a replica was fenced.
//
// # How faults are made
//
// Cuts are packets that are dropped without a word, one way or both. Stops are SIGSTOP, from parts of a second to longer than the
// others take to give a replica up. Kills are SIGKILL. A slow member is one that is stopped for 90 ms out of every 120, so that all
// that it does is late, its disk included: etcd's own failpoints need another build, and nothing on the machine is to be changed. All
// chance is from one seed, which is printed; time is not, so that the same seed makes the same kinds of faults and not the same run.
package chaos
