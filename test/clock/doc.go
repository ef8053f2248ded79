// Package clock sets the clock of a running gateway by an hour and back (`make clock`).
// Its test has a build tag, because it builds the standard library anew.
package clock
