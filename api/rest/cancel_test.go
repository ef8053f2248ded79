package rest_test

import (
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

func cancelled(t *testing.T, s *apitest.Server, where string) (c wire.Cancellation, m wire.Message) {
	t.Helper()
	a := s.Do(apitest.Token1, "POST", where+"/cancel", "")
	must(t, a, 200)
	a.JSON(t, &c)
	s.Do(apitest.Token1, "GET", where, "").JSON(t, &m)
	return c, m
}

func TestCancel(t *testing.T) {
	s := apitest.Start(t, apitest.Options{Aloft: 1})
	for _, d := range []string{"a", "b", "c", "d"} {
		must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/"+d, `{"platform":"android","user_id":"ana","tokens":[{"kind":"fcm","value":"`+d+`"}]}`), 201)
	}
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/mute", `{"platform":"android","user_id":"ana"}`), 201)
	a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"users":["ana"]},"notification":{"title":"x"}}`)
	must(t, a, 202)
	for range 2 { // the same answer again
		c, m := cancelled(t, s, a.Header.Get("Location"))
		if c != (wire.Cancellation{Cancelled: 3, TooLate: 2}) || m.State != diaphone.Processing || m.CancelledAt.IsZero() {
			t.Errorf("%+v, %+v", c, m)
		}
	}
	batches, _, err := s.Store.Claim(t.Context(), storage.Claim{Lane: diaphone.Lane{App: "1", Credential: "google"}, Now: time.Now(), N: 10, Lease: time.Minute})
	if err != nil || len(batches) != 1 || !batches[0].Cancelled {
		t.Fatalf("claimed %v, %v", batches, err)
	}
	work := storage.Settlement{Batch: &batches[0]}
	for _, it := range batches[0].Items { // as of attempts that were in flight
		work.Results = append(work.Results, storage.Result{Index: it.Index, State: diaphone.Pending, RetryAt: time.Now()})
	}
	if _, err := s.Store.Settle(t.Context(), []storage.Settlement{work}, time.Now()); err != nil {
		t.Fatal(err)
	}
	var p wire.Page[wire.Delivery]
	s.Do(apitest.Token1, "GET", a.Header.Get("Location")+"/deliveries", "").JSON(t, &p)
	for _, d := range p.Data {
		if d.DeviceID != "mute" && (d.State != diaphone.Cancelled || d.Reason != "cancelled_by_publisher") {
			t.Errorf("%+v", d)
		}
	}
}

func TestCancelWhatIsScheduled(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	at := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"channels":["news"]},"event":{"name":"e"},"notification":{"title":"x"},"send_at":"`+at+`"}`)
	must(t, a, 202)
	for range 2 {
		c, m := cancelled(t, s, a.Header.Get("Location"))
		if c != (wire.Cancellation{Unsent: true}) || m.State != diaphone.Finished || m.CancelledAt.IsZero() {
			t.Errorf("%+v, %+v", c, m)
		}
	}
	if due, _, err := s.Store.Due(t.Context(), time.Now().Add(48*time.Hour), 10); err != nil || len(due) > 0 {
		t.Errorf("%d are due, %v", len(due), err)
	}
}

func TestCancelWhatIsNotThere(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	for _, id := range []string{string(diaphone.NewMessageID(time.Now())), "nonsense", "msg_"} {
		must(t, s.Do(apitest.Token1, "POST", "/v1/messages/"+id+"/cancel", ""), 404)
	}
}
