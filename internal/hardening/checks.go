package hardening

// All are the checks, in the order in which they are run and shown. A new one is a file of its own, a name here, and two
// cases in its test: one in which it fires, and one in which it does not.
func All() []Check {
	return []Check{
		ov01(), ov02(), ov03(), ov04(), ov05(), ov06(), ov07(), ov08(), ov09(), ov10(), ov11(), ov12(), ov13(), ov14(), ov15(),
		an01(), an02(), an03(), an04(),
		xc01(), xc02(), xc03(), xc04(), xc05(), xc06(), xc07(), xc08(), xc09(), xc10(), xc11(), xc12(),
		xc13(), xc14(), xc15(), xc16(), xc17(), xc18(), xc19(), xc20(), xc21(), xc22(), xc23(),
		st01(), st02(), st03(), st04(), st05(), st06(), st07(), st08(), st09(),
		bt01(), bt02(), bt03(), bt04(), bt05(), bt06(), bt07(), bt08(), bt09(), bt10(), bt11(), bt12(),
		sa01(), sa02(), sa03(), sa04(), sa05(), sa06(), sa07(), sa08(), sa09(), sa10(), sa11(), sa12(), sa13(), sa14(), sa15(),
		tr01(), tr02(), tr03(), tr04(), tr05(), tr06(), tr07(), tr08(), tr09(), tr10(), tr11(),
		oi01(), oi02(), oi03(), oi04(), oi05(), oi06(), oi07(), oi08(), oi09(), oi10(), oi11(), oi12(), oi13(),
		wh01(), wh02(), wh03(), wh04(), wh05(), wh06(), wh07(), wh08(), wh09(), wh10(), wh11(),
		ap01(), ap02(), ap03(), ap04(), ap05(), ap06(), ap07(), ap08(), ap09(), ap10(),
		tl01(), tl02(), tl03(), tl04(),
		kc01(), kc02(), kc03(), kc04(),
	}
}
