package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// Every phone listens to one of the rooms, and to everyone.
const everyone = diaphone.ChannelName("everyone")

func (l *load) room(i int) diaphone.ChannelName {
	return diaphone.ChannelName(fmt.Sprintf("room-%d", i%l.rooms))
}

// load is what a gateway is under while a scene goes on. The zero value is none.
type load struct {
	phones     int // registered before, a third of them on each platform
	late       int // that register while the scene goes on
	rooms      int
	publishers int           // one message after the other each
	pace       time.Duration // at most between two of a publisher's messages
	listeners  int           // sockets
	broadcast  int           // the first publisher sends its first message, and every so many, to everyone; 0: none
}

// phone is a simulated phone and what it registers with.
type phone struct {
	id     diaphone.DeviceID
	device wire.NewDevice
}

// traffic is a load under way.
type traffic struct {
	load
	world  *harness.World
	book   *book
	phones []phone
	places map[diaphone.DeviceID][]diaphone.ChannelName
	run    sync.WaitGroup
	stop   context.CancelFunc
	// patience ends some time after stop: until then publishers go on asking what has
	// become of their last message.
	patience context.Context
	giveUp   context.CancelFunc
}

// newTraffic gives phones to the simulators and registers those that are there from
// the start.
func newTraffic(t *testing.T, w *harness.World, b *book, l load) *traffic {
	t.Helper()
	f := &traffic{load: l, world: w, book: b, places: make(map[diaphone.DeviceID][]diaphone.ChannelName)}
	kinds := map[diaphone.Platform]diaphone.TokenKind{diaphone.IOS: diaphone.TokenAPNs, diaphone.Android: diaphone.TokenFCM, diaphone.Web: diaphone.TokenWebPush}
	// To its simulated push service the gateway has 16 connections with one request
	// each, so that browsers are slower to serve.
	platforms := []diaphone.Platform{diaphone.IOS, diaphone.Android, diaphone.Web, diaphone.IOS, diaphone.Android, diaphone.IOS, diaphone.Android}
	var wanted []harness.Phone
	for i := range l.phones + l.late {
		p := platforms[i%len(platforms)]
		wanted = append(wanted, harness.Phone{Name: fmt.Sprintf("%s-%d", p, i), Platform: string(p)})
	}
	for portion := range slices.Chunk(wanted, 1000) {
		var added struct{ Data []harness.Phone }
		w.SimCall(http.MethodPost, "/sim/devices", portion, &added)
		for _, p := range added.Data {
			id, platform := diaphone.DeviceID(p.Name), diaphone.Platform(p.Platform)
			f.places[id] = []diaphone.ChannelName{everyone, f.room(len(f.phones) / len(platforms))}
			f.phones = append(f.phones, phone{id, wire.NewDevice{Platform: platform, Channels: f.places[id],
				Tokens: []wire.NewToken{{Kind: kinds[platform], Value: p.Token, Subscription: p.Subscription}}}})
		}
	}
	w.Parallel(32, l.phones, func(i int) error {
		_, err := w.Client.PutDevice(context.Background(), f.phones[i].id, f.phones[i].device)
		b.register(f.phones[i].id)
		return err
	})
	return f
}

// start begins to publish, register and listen.
func (f *traffic) start(seed uint64) {
	var ctx context.Context
	ctx, f.stop = context.WithCancel(context.Background())
	f.patience, f.giveUp = context.WithCancel(context.Background())
	for i := range f.publishers {
		f.run.Go(func() { f.publish(ctx, fmt.Sprintf("p%d", i), rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	if f.late > 0 {
		f.run.Go(func() { f.register(ctx) })
	}
	for i := range f.listeners {
		f.run.Go(func() { listen(ctx, f.world.URL, f.room(i), f.book) })
	}
}

// end stops the load and returns when all of it has stopped.
func (f *traffic) end() {
	f.stop()
	defer f.giveUp()
	defer time.AfterFunc(20*time.Second, f.giveUp).Stop()
	f.run.Wait()
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// publish sends one message after the other, each until its outcome is known. One in
// ten gets one try.
func (f *traffic) publish(ctx context.Context, name string, random *rand.Rand) {
	for n := 1; ctx.Err() == nil; n++ {
		m, owed := f.message(name, n, random)
		p := f.book.intend(m.Notification.Body, owed)
		for once := random.IntN(10) == 0; f.try(p, m) == unknown && !once && f.patience.Err() == nil; {
			pause(f.patience, time.Duration(random.IntN(40))*time.Millisecond)
		}
		f.follow(p, random)
		if f.pace > 0 {
			pause(ctx, time.Duration(random.Int64N(int64(f.pace))))
		}
	}
}

// follow looks now and then at what becomes of a message, or takes it back. Whether an
// answer comes does not matter.
func (f *traffic) follow(p *publish, random *rand.Rand) {
	if p.outcome != accepted {
		return
	}
	ctx, end := context.WithTimeout(context.Background(), 10*time.Second)
	defer end()
	if random.IntN(5) == 0 {
		if m, err := f.world.Client.Message(ctx, p.ids[0]); err == nil {
			f.book.glimpse(p, m.Counts)
		}
	}
	if random.IntN(30) > 0 {
		return
	}
	f.book.recall(p)
	if answer, err := f.world.Client.Cancel(ctx, p.ids[0]); err == nil {
		f.book.recalled(p, answer.TooLate)
	}
}

// message makes a publisher's nth message and tells which phones it is for: one of
// them, a room, everyone; now, or for one in twenty somewhat later.
func (f *traffic) message(name string, n int, random *rand.Rand) (m wire.NewMessage, owed []diaphone.DeviceID) {
	m.Notification = &diaphone.Notification{Title: "torture", Body: fmt.Sprintf("%s-%d", name, n)}
	to := f.room(random.IntN(f.rooms))
	switch {
	case f.broadcast > 0 && name == "p0" && n%f.broadcast == 1:
		to = everyone
	case random.IntN(2) == 0:
		to = ""
	}
	if to == "" {
		all := f.book.members(func(diaphone.DeviceID) bool { return true })
		owed = []diaphone.DeviceID{all[random.IntN(len(all))]}
		m.To.Devices = owed
		return m, owed
	}
	m.To.Channels = []diaphone.ChannelName{to}
	m.When = diaphone.Always
	if random.IntN(20) == 0 {
		m.SendAt = wire.At(time.Now().Add(time.Duration(random.IntN(2000)) * time.Millisecond))
	} else {
		m.Event = &wire.Event{Name: said, Data: fmt.Appendf(nil, `"%s %d"`, name, n)}
	}
	return m, f.book.members(func(d diaphone.DeviceID) bool { return slices.Contains(f.places[d], to) })
}

// try makes one call and notes what it has brought.
func (f *traffic) try(p *publish, m wire.NewMessage) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := f.world.Client.Publish(ctx, m, p.key)
	if err == nil {
		f.book.accept(p, answer.ID)
		return accepted
	}
	// What docs/promises.md says: any other answer, or none, is unknown. But the
	// request's own fault and a full disk are answers that promise something.
	var problem *client.Problem
	if errors.As(err, &problem) && (problem.Status < 500 || problem.Status == http.StatusInsufficientStorage) {
		f.book.refuse(p, problem.Status)
		return refused
	}
	return unknown
}

// register registers the late phones one after the other, each until it is done.
func (f *traffic) register(ctx context.Context) {
	for _, p := range f.phones[f.load.phones:] {
		for ctx.Err() == nil {
			call, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, err := f.world.Client.PutDevice(call, p.id, p.device)
			cancel()
			pause(ctx, 20*time.Millisecond)
			if err == nil {
				f.book.register(p.id)
				break
			}
		}
	}
}
