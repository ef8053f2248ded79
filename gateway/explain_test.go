package gateway

import (
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
)

// Nobody is said to have been live because a phone of theirs has reported the message.
func TestWhatIsSaidOfTheLiveSide(t *testing.T) {
	m := &diaphone.Message{When: diaphone.Away, Notification: &diaphone.Notification{}}
	for want, then := range map[string]hub.Remembered{
		AnswerLiveForgotten: {},
		AnswerLiveAbsent:    {Known: true},
		AnswerLiveUnproven:  {Known: true, Live: true},
		AnswerLiveAwaited:   {Known: true, Live: true, Pending: true},
		AnswerLiveTaken:     {Known: true, Live: true, How: diaphone.TakenLive},
		AnswerLiveElsewhere: {Known: true, How: diaphone.TakenElsewhere},
	} {
		if got := liveStory("ana", hub.UserInfo{}, then, m).Because; got.Code != want || got.Means == "" {
			t.Errorf("%+v: %+v, want %s", then, got, want)
		}
	}
}
