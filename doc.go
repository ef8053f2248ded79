// Package diaphone holds the words of the product as types: App, Channel,
// Event, Notification, Message, Device, User, Delivery, Attempt, Lane.
//
// It depends on the standard library only, performs no I/O and starts no
// goroutine. Everything that acts on these words lives on a higher floor; see
// docs/adr/0001-the-house.md for the floors and the test that holds them.
package diaphone
