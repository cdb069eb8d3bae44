package hardening

// All are the checks, in the order in which they are run and shown. A new one is a file of its own, a name here, and two
// cases in its test: one in which it fires, and one in which it does not.
func All() []Check {
	return []Check{
		ov03(), ov04(), ov06(), ov08(), ov09(), ov12(), ov13(), ov14(), ov15(),
		an01(), an02(), an03(), an04(),
		xc01(), xc02(), xc04(), xc05(), xc07(), xc08(), xc09(), xc11(), xc12(), xc13(), xc14(), xc15(), xc16(), xc20(), xc21(),
		st01(), st02(), st03(), st04(), st05(), st07(), st08(),
		bt01(), bt02(), bt03(), bt04(), bt05(), bt06(), bt08(), bt09(), bt11(),
		sa01(), sa02(), sa03(), sa04(), sa05(), sa06(), sa07(), sa08(), sa10(), sa11(), sa12(),
		tr01(), tr02(), tr03(), tr05(), tr06(), tr07(), tr08(),
		oi01(), oi02(), oi03(), oi05(), oi07(), oi10(),
		wh01(), wh02(), wh04(), wh05(), wh06(), wh08(),
		ap01(), ap02(), ap03(), ap05(), ap06(), ap08(), ap09(), ap10(),
		tl01(), tl03(), tl04(),
		kc01(), kc02(),
	}
}
