// Package lockout makes guessing at tokens hopeless, and keeps that from being turned against anyone (G-15, G-18).
//
// A failure says something about where it came from, and nothing about whose secret was guessed at. So it is charged to the
// source's prefix, and to the pair of the id that the token claims and that prefix; never to an id alone, which would be a
// remote off switch for its owner. Who is hammered from ten thousand places comes in from any other.
//
// A token is reserved for before it is judged, and given back when it was right: guesses side by side cannot overrun a
// limit, and a right token does not wash away the failures of others. A prefix that used up its budget is locked until the
// budget is whole again; a pair for a time that doubles. A token that holds 128 bits of chance is judged all the same, at a
// bounded rate: nobody guesses it, and colleagues behind an attacker's address get in. A certificate never comes here.
//
// Everything has its place in tables of fixed size. Each process counts alone, and goes on to when the store is lost; what
// is shared are locks, a bounded number a second, so that junk never becomes a load of the store's.
package lockout
