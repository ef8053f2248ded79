package gateway

import "github.com/diaphone-dev/diaphone"

// Meaning says in plain words what a code tells, and what to do about it.
type Meaning struct {
	Code  string
	Means string
	Do    string // empty: nothing has to be done
}

// Answers to the whole question, where no reason of a delivery is one.
const (
	AnswerUnknownMessage = "message_unknown"
	AnswerScheduled      = "message_scheduled"
	AnswerUnsent         = "message_unsent"
	AnswerEventOnly      = "event_only"
	AnswerNoDevices      = "no_devices"
	AnswerDevicesGone    = "devices_gone"
	AnswerNotInAudience  = "not_in_audience"
	AnswerUnknownDevice  = "device_unknown"
	AnswerRegisteredLate = "registered_after"
	AnswerJoinedLate     = "joined_after"
	AnswerPlanning       = "being_planned"
	AnswerDiffers        = "differs_by_device"
	AnswerDelivered      = "delivered"
	AnswerDisplayed      = "displayed"
	AnswerDecryptFailed  = "decrypt_failed"
	AnswerQueued         = "queued"
	AnswerRetrying       = "waiting_for_retry"
	AnswerLanePaused     = "lane_paused"
	AnswerLaneMistrusted = "lane_mistrusted"
	AnswerLaneSlowed     = "lane_slowed"
	AnswerLaneUndeclared = "lane_undeclared"
)

// What is remembered of a user on the live side.
const (
	AnswerLiveNotAsked  = "live_not_asked"
	AnswerLiveForgotten = "live_forgotten"
	AnswerLiveAbsent    = "live_absent"
	AnswerLiveAwaited   = "live_awaited"
	AnswerLiveUnproven  = "live_unproven"
	AnswerLiveTaken     = "live_taken"
	AnswerLiveElsewhere = "live_elsewhere"
)

// MeaningOf gives the sentences of a code: a reason of ours, an answer of Explain, or
// a provider's own word. A word that is not known here is explained by the verdict
// that it came with.
func MeaningOf(code string, v diaphone.Verdict) Meaning {
	text, known := meanings[code]
	if !known {
		text, known = vendorMeanings[code]
	}
	if !known {
		text, known = meanings[string(v)]
	}
	if !known {
		text.means = "Nothing more is known of this."
	}
	return Meaning{Code: code, Means: text.means, Do: text.do}
}

type sentences struct{ means, do string }

const (
	checkCredential  = "Check the credential's key, ids, topic and environment in the apps file, then restart."
	checkEnvironment = "Check that topic and environment of the credential are those of the app that the phone runs: development builds are sandbox, TestFlight and the App Store are production."
	openTheApp       = "Have the app opened once on that phone: it registers anew at its start."
	reportBug        = "This is a fault of the gateway's making, or of an override in the message: look at the apns, fcm and webpush fields of the message."
	nothingYet       = "Nothing, unless it lasts: the gateway tries again by itself until the message expires."
)

// meanings are the sentences of everything that the product says as a reason: one
// table (the providers' words are its other half), for the API and the command line.
var meanings = map[string]sentences{
	// The whole question.
	AnswerUnknownMessage: {"No such message is kept: it was never accepted with this id, it was an event alone, or it finished so long ago that it has been removed.", "Compare the id with the one that the publisher was given, and the day with how long history is kept (--retention)."},
	AnswerScheduled:      {"The message waits for its time; who is in its audience is decided then.", "Wait, or cancel it."},
	AnswerUnsent:         {"The message was cancelled before its time came: nothing of it went out.", ""},
	AnswerEventOnly:      {"The message is an event without a notification: it goes to live sockets, never to phones.", "Publish it with a notification if phones are to ring."},
	AnswerNoDevices:      {"The user has no registered device, so there is nothing to ring.", "Look whether the app registers its token, and under this user id. If the user has logged out since, ask for the device instead."},
	AnswerDevicesGone:    {"The user has no registered device now. If they had one when the message came, it has been deleted or logged out since; the deliveries of the message tell what became of it on each device.", "Look at the deliveries (GET /v1/messages/ID/deliveries), and ask for one of their devices by its id."},
	AnswerNotInAudience:  {"The message was for others: neither this user nor a device or channel of theirs is in its audience.", "Compare the audience with the user id and with the channels of the devices; ids are compared letter by letter."},
	AnswerUnknownDevice:  {"No such device is registered, and the message is owed to none of this name.", "Look whether the app registers its token, and under which device id."},
	AnswerRegisteredLate: {"The device was registered only after the message had gone out to its audience.", "Nothing: later messages reach it."},
	AnswerJoinedLate:     {"The device is in the audience now, but was bound to its user or subscribed to the channel only after the message had gone out.", "Nothing: later messages reach it."},
	AnswerPlanning:       {"The message goes to so many devices that this one's turn to be planned has not come yet.", "Wait a moment and ask again."},
	AnswerDiffers:        {"It went differently on each of the devices.", "See them one by one."},

	// The live side.
	AnswerLiveNotAsked:  {"The message was for everybody, live or not: no client was asked to prove that it took it.", ""},
	AnswerLiveForgotten: {"Who was live when the message came is not remembered: nobody of its audience was, or it is longer ago than a quarter of an hour, or the gateway was started anew.", ""},
	AnswerLiveAbsent:    {"The user was not live on a channel of the message when it came.", ""},
	AnswerLiveAwaited:   {"The user was live when the message came, and may still prove to have taken it.", "Wait: it takes no longer than confirm.within."},
	AnswerLiveUnproven:  {"The user was live when the message came, but no client of theirs proved in time that it took it: so the phones were tried.", ""},
	AnswerLiveTaken:     {"The user was live when the message came, and a client of theirs has proven that it took it: so the phones were spared.", ""},
	AnswerLiveElsewhere: {"A device of the user has reported that it has the message; no connection of theirs has proven it. So the phones that had not been tried yet were spared.", ""},

	// How a delivery stands.
	AnswerDelivered:      {"The provider has accepted the notification for this phone. Whether it was shown only the phone knows.", "If the phone stayed silent: look whether it is on, online, and not in a focus mode; whether the app may show notifications; and whether a newer one with the same collapse_id has replaced it."},
	AnswerDisplayed:      {"The provider has accepted the notification, and the phone reports that it was shown, opened or put away.", "If nobody heard it: look at the phone's volume and focus mode, and at the sound of the notification."},
	AnswerDecryptFailed:  {"The provider has accepted the notification, and the phone reports that the app on it could not decrypt it: so it showed nothing, or not the text.", "Compare the key that the text was encrypted with and the one that the app has: the app was perhaps installed anew and made another."},
	AnswerQueued:         {"The delivery is due and waits its turn.", "Nothing: it goes out as soon as its lane has room."},
	AnswerRetrying:       {"The last attempt did not pass, and the next one waits for its time.", nothingYet},
	AnswerLanePaused:     {"The provider refuses the credential. All deliveries over it wait; no device is touched, and one attempt now and then asks whether that is over.", checkCredential},
	AnswerLaneMistrusted: {"Most tokens were refused at once, as if they belonged to another app or environment. The lane waits; no device is touched, and one attempt now and then asks whether that is over.", checkEnvironment},
	AnswerLaneSlowed:     {"The provider has asked the gateway to slow down, and all deliveries over this credential wait for that.", "Nothing, unless it happens often: then lower the credential's rate in the apps file."},
	AnswerLaneUndeclared: {"The credential that was to carry the delivery is not in the apps file any more.", "Declare it again under the same name, or let the deliveries expire."},

	// Reasons of ours for how a delivery ended, or what it waits for.
	diaphone.ReasonTakenLive:        {"The user was live, and a client of theirs has proven that it took the message: the phone was spared.", "Publish with when: always if phones are to ring even so."},
	diaphone.ReasonTakenElsewhere:   {"Another device of the user has confirmed the message: this one was spared.", "Publish with when: always if all phones are to ring even so."},
	diaphone.ReasonAwaiting:         {"The user is live, and it is not proven yet that a client of theirs has taken the message; the phone rings unless it is.", "Wait: it takes no longer than confirm.within."},
	diaphone.ReasonExpired:          {"The message's time to live was over before an attempt could pass.", "Look at the attempts for what held it up; give it a longer ttl if it is worth reading later."},
	diaphone.ReasonCancelled:        {"The publisher took the message back before this phone's turn.", ""},
	diaphone.ReasonLeftAudience:     {"The device had left the audience before its turn: the user logged out, or it was unsubscribed from the channel.", "Nothing, if the log-out was meant; else have the app opened, so that it registers with its user."},
	diaphone.ReasonDeviceDeleted:    {"The device was deleted before its turn.", openTheApp},
	diaphone.ReasonNoToken:          {"The device has no push token that this kind of message could go to: the app never registered one, or the provider said that it was dead and it was removed.", openTheApp + " Look whether the user has allowed notifications."},
	diaphone.ReasonTokenGone:        {"The provider has said that the device's token is dead, and the app has registered no other since.", openTheApp},
	diaphone.ReasonNoVoIPToken:      {"A call rings an iPhone through its PushKit token only, and the device has none.", "Have the app register a token of kind apns-voip."},
	diaphone.ReasonNoCredential:     {"No credential in the apps file serves the device's token.", "Declare one for its provider, and for APNs of its environment."},
	diaphone.ReasonNoApp:            {"The app was not in the apps file any more when the message was planned.", "Declare the app again."},
	diaphone.ReasonRetriesExhausted: {"So many attempts in vain were made that the delivery was given up.", "Look at what the provider answered to them."},
	diaphone.ReasonUnknownAnswer:    {"The provider answered twice in a way that is documented nowhere, and the delivery was given up.", "Look at the status of the attempts; a proxy in between may have answered."},
	diaphone.ReasonStoreUnavailable: {"The gateway's own store could not be read for a moment; the attempt is made a second later.", "Look at the gateway's log and disk if it lasts."},

	diaphone.ReasonDeviceThrottled: {"The provider has asked to leave this phone alone for a while, for another message; this one waits for that too.", nothingYet},

	// Attempts that got no answer, or were not sent.
	"timeout":            {"The provider did not answer in time.", nothingYet},
	"cancelled":          {"The attempt was cut short because the gateway was told to stop; it is made again.", ""},
	"unreachable":        {"No connection to the provider could be made.", "Look at network, DNS and firewall of the gateway if it lasts."},
	"tls_failed":         {"The provider's certificate was not accepted, or its handshake failed.", "Look whether something in between intercepts TLS, and at the gateway's clock."},
	"connection_lost":    {"The connection broke before the answer came; the phone may have it or not.", nothingYet},
	"malformed_token":    {"The token cannot be one: nothing was sent.", "Look at what the app registers as its token."},
	"unsendable":         {"The message cannot be put into a form that the provider takes: nothing was sent.", reportBug},
	"closed":             {"The gateway was stopping: nothing was sent, and it is tried again after the start.", ""},
	"no_access_token":    {"Google's token endpoint gave no access token.", "Check the service account."},
	"forbidden_endpoint": {"The push service's address leads where this gateway must not call.", "See --push-hosts and --egress-allow-cidr if the push service is yours."},

	// Verdicts, for words that stand nowhere here.
	string(diaphone.Accepted):  {"The provider has accepted it.", ""},
	string(diaphone.Refused):   {"The provider refuses this payload and would refuse it again.", reportBug},
	string(diaphone.Gone):      {"The provider says that the token is dead: the app was removed, or notifications were revoked.", openTheApp},
	string(diaphone.Suspect):   {"The provider does not take the token, or takes it for another app's. It is kept, for the set-up may be what is wrong.", checkEnvironment},
	string(diaphone.Retry):     {"The provider is in trouble.", nothingYet},
	string(diaphone.Throttled): {"The provider has had too much and asks to wait.", nothingYet},
	string(diaphone.Denied):    {"The provider refuses the credential.", checkCredential},
	string(diaphone.Unknown):   {"The provider's answer is documented nowhere. It is tried once more.", "Look at the status; a proxy in between may have answered."},
}
