// Package hub is the live side: sessions, the channels they are in, presence,
// signed-in users, the fan-out of events to them, and what is kept in memory for
// those who come later (caches, history). It knows no wire protocol: what it has to
// say it says through a Protocol, which a front door brings. It checks no signature
// either; doors admit, the hub connects.
package hub
