// Package arch holds the test of the house: which package may import which.
package arch
