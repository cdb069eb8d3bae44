package tokenstrength

// Published reports whether a token was published: in the documentation of Kubernetes, in courses, or in installation
// guides that thousands of clusters were built from. However random one looks, whoever attacks a cluster tries it first.
func Published(token string) bool {
	switch token {
	case
		// The Kubernetes documentation: authentication, TLS bootstrapping, bootstrap tokens, kubeadm and client-go's tests.
		"31ada4fd-adec-460c-809a-9e56ceb75269",
		"02b50b05283e98dd0fd71db496ef01e8",
		"07401b.f395accd246ae52d",
		"abcdef.0123456789abcdef",
		"abcdef.1234567890abcdef",
		"781292.db7bc3a58fc5f07e",
		"9a08jv.c0izixklcxtmnze7",
		"ce3aa5.5ec8455bb76b379f",
		// Guides for installations by hand.
		"0fb61c46f8991b718eb38d27b605b008",
		"142e7e57f9e70125a2d7e00acb315956",
		"38c9abdf7eea167c6526158f19475b2d",
		"4136692876ad4b01bb9dd0988480ebba",
		"674c457d4dcf2eefe4920d7dbb6b0ddc",
		"6df3c701f979cee17732c30958745947",
		"c47ffb939f5ca36231d9e3121a252940",
		"cc9f564a0e4d41272dd2b51615582750",
		"cdbe50bd844b6952cd197899bac486d9",
		"d5c5d767b64db39db132b433e9c45fbc",
		"dc7903bc34d75a708526369ceeb8250e",
		"e2c6f99a270a1766851e6516eb3e9941",
		"88c916f382dc619a6bca",
		// Courses and posts.
		"KpjCVbI7rCFAHYPkByTIzRb7gu1cUc4B",
		"rJjncHmvtXHc6MlWQddhtvNyyhgTdxSC",
		"mjpOFIEiFOkL9toikaRNtt59ePtczZSq",
		"PG41IXhs7QjqwWkmBkvgGT9glOyUqZij",
		"KsdHGsyhSjysh36sShdhS6fhsgdjS7dsh",
		"FM7fhRM4NUg2j0fssXf1OMolALtPpMka",
		"DBMmLEwHROlO4Ront5lw7GcaKMkEqtud",
		"alkskjhfdku3jkfhm",
		"kjasdfgjkewyucxmj12",
		"lskdfjldskfnkjhf",
		"chAng3m3",
		"cncamp-token",
		// Words.
		"token", "token1", "token123", "admin-token", "secret", "password", "password123", "changeme", "1234567890":
		return true
	default:
		return false
	}
}
