package channels

import (
	"crypto/md5"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

// sign gives a signature as backends make it.
func sign(secret diaphone.Secret, text string) string {
	with := newSigner(secret).states.Get().(*signing)
	return string(with.sign([]byte(text)))
}

func requestText(method, path string, q query) string {
	return string(appendRequestText(nil, method, path, q))
}

// sorted gives parameters in the order in which they are signed.
func sorted(params map[string]string) query {
	var q query
	for _, name := range slices.Sorted(maps.Keys(params)) {
		q = append(q, param{name, params[name]})
	}
	return q
}

// The vectors of A, U, H and W; those of E are between server and client SDKs,
// and this server is blind to them.
func TestVectors(t *testing.T) {
	count := 0
	for _, v := range loadVectors(t) {
		t.Run(v["id"], func(t *testing.T) {
			secret := diaphone.Secret(v["secret"])
			switch v["id"][0] {
			case 'A', 'U':
				want := strings.TrimPrefix(v["auth"], v["key"]+":")
				if got := sign(secret, v["string_to_sign"]); got != want {
					t.Errorf("signature %s, want %s", got, want)
				}
				if got := signedText(v["string_to_sign"]); got != v["string_to_sign"] {
					t.Errorf("signs %q, want %q", got, v["string_to_sign"])
				}
			case 'H':
				checkRequestVector(t, v)
			case 'W':
				if got := sign(secret, v["body"]); got != v["X-Pusher-Signature"] {
					t.Errorf("signature %s", got)
				}
				if sign(secret, v["body"]+"\n") == v["X-Pusher-Signature"] {
					t.Error("a trailing newline is not signed")
				}
			default:
				return
			}
			count++
		})
	}
	if count != 24 {
		t.Errorf("%d vectors tried", count)
	}
}

// signedText takes a vector's text apart and has it built again.
func signedText(vector string) string {
	if socket, data, ok := strings.Cut(vector, "::user::"); ok {
		return userText(diaphone.SocketID(socket), data)
	}
	parts := strings.SplitN(vector, ":", 3)
	return channelText(diaphone.SocketID(parts[0]), diaphone.ChannelName(parts[1]), strings.Join(parts[2:], ""))
}

func checkRequestVector(t *testing.T, v map[string]string) {
	t.Helper()
	lines := strings.SplitN(v["string_to_sign"], "\n", 3)
	// As it comes over the wire: out of order, upper case, escaped or raw.
	values := strings.Split(lines[2], "&")
	wire := []string{"auth_signature=" + v["auth_signature"]}
	for _, pair := range values {
		name, value, _ := strings.Cut(pair, "=")
		wire = append([]string{strings.ToUpper(name) + "=" + url.QueryEscape(value)}, wire...)
	}
	query, _, err := parseQuery(nil, strings.Join(wire, "&"))
	if err != nil {
		t.Fatal(err)
	}
	text := requestText(lines[0], lines[1], query)
	if text != v["string_to_sign"] {
		t.Errorf("signs %q, want %q", text, v["string_to_sign"])
	}
	if got := sign(diaphone.Secret(v["secret"]), text); got != v["auth_signature"] {
		t.Errorf("signature %s, want %s", got, v["auth_signature"])
	}
	if v["body_md5"] != "" {
		sum := md5.Sum([]byte(v["body"]))
		if got := hex.EncodeToString(sum[:]); got != v["body_md5"] {
			t.Errorf("md5 %s, want %s", got, v["body_md5"])
		}
		query = slices.DeleteFunc(query, func(p param) bool { return p.name == paramBodyMD5 })
		if sign(diaphone.Secret(v["secret"]), requestText(lines[0], lines[1], query)) == v["auth_signature"] {
			t.Error("body_md5 is not signed")
		}
	}
}

func TestNegativeVectors(t *testing.T) {
	of := map[string]map[string]string{}
	for _, v := range loadVectors(t) {
		of[v["id"]] = v
	}
	signature := func(id string) string { return strings.TrimPrefix(of[id]["auth"], of[id]["key"]+":") }
	k1 := newSigner(diaphone.Secret(of["A1"]["secret"]))
	for what, accepted := range map[string]bool{
		"A1 for another channel":     k1.signed([]byte(channelText("1234.1234", "private-foobar2", "")), signature("A1")),
		"A1 for another socket":      k1.signed([]byte(channelText("1234.1235", "private-foobar", "")), signature("A1")),
		"A1 in upper case":           k1.signed([]byte(channelText("1234.1234", "private-foobar", "")), strings.ToUpper(signature("A1"))),
		"A4 without channel_data":    k1.signed([]byte(channelText("1234.1234", "private-foobar", "")), signature("A4")),
		"A8's signature for A7":      k1.signed([]byte(of["A7"]["string_to_sign"]), signature("A8")),
		"H1 with its names unsorted": k1.signed([]byte("POST\n/apps/3/events\nauth_timestamp=1353088179&auth_key=278d425bdf160c739803&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f"), of["H1"]["auth_signature"]),
	} {
		if accepted {
			t.Errorf("accepted: %s", what)
		}
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	for _, raw := range []string{
		"auth_key=a&auth_key=b", "auth_key=a&AUTH_KEY=a", "auth_signature=a&auth_signature=a",
		"body_md5=a&Body_MD5=b", "auth_timestamp=%zz", "a;b=c",
	} {
		if q, _, err := parseQuery(nil, raw); err == nil {
			t.Errorf("%s: %v", raw, q)
		}
	}
	q, _, err := parseQuery(nil, "info=a&info=b&Name=Some+thing%20else&comma=a,b%2Cc")
	if err != nil || q.get("info") != "b" || q.get("name") != "Some thing else" || q.get("comma") != "a,b,c" {
		t.Errorf("%v %v", q, err)
	}
	q, channels, err := parseQuery(nil, "name=e&channels%5B%5D=b&Channels[]=a&auth_key=k")
	if err != nil || !slices.Equal(channels, []string{"b", "a"}) || requestText("POST", "/", q) != "POST\n/\nauth_key=k&channels[]=b&channels[]=a&name=e" {
		t.Errorf("%v %v %v", q, channels, err)
	}
}
