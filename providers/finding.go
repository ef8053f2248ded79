package providers

import "time"

// Finding is what a probe has found out about a credential, in words for the
// operator. No text in it carries a token or a key.
type Finding struct {
	Grade  Grade
	Reason string // the provider's own word, or one of ours in lower case; empty: there is none
	Detail string // what is so
	Advice string // what to do about it; empty when Sound

	// Unanswered: the provider could not be asked, so that nothing is known of the
	// credential. The grade is Faulty then, for no message would get through either.
	Unanswered bool

	// Ahead is how far the provider's clock is ahead of ours, to the second; it counts
	// only when Clocked, for not every answer tells the time.
	Ahead   time.Duration
	Clocked bool

	Expires time.Time // when the credential ends by itself; zero: it does not
}

// Grade says how much is wrong.
type Grade string

// The grades.
const (
	Sound    Grade = "ok"
	Doubtful Grade = "warning" // messages may get through, but somebody should look
	Faulty   Grade = "fault"   // messages do not get through
)

// ExpirySoon is how long before its end a credential is worth a warning.
const ExpirySoon = 30 * 24 * time.Hour
